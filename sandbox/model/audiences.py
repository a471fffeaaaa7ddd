"""An audience with its members, merge fields, segments and webhooks.

An audience applies changes without checking them: `MemberWriter` checks those of the API.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sandbox.model import problems
from sandbox.model.addresses import address_hash
from sandbox.model.journal import Journal
from sandbox.model.member_events import address_changed, member_event
from sandbox.model.members import DEFAULT_ATTRIBUTES, ChangeOrigin, ComplianceState, Member, MemberAttributes, Status
from sandbox.model.merge_fields import MergeFields, Values
from sandbox.model.static_segments import StaticSegments
from sandbox.model.webhooks import Delivery, Webhooks

_CONTACT_DIGITS = 22
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Description:
    """The audience's settings on Mailchimp's website."""

    name: str
    double_optin: bool = False
    marketing_permissions: bool = False
    company: str = "Acme"
    from_name: str = "Acme"
    from_email: str = "news@acme.test"
    language: str = "en"


@dataclass(frozen=True, slots=True)
class AbuseReport:
    """A spam complaint, with the member's address at that time."""

    id: int
    member: Member
    email_id: str
    email_address: str
    at: datetime


class Audience:
    """One audience (list) of an account."""

    def __init__(  # noqa: PLR0913 -- each is a part of its own
        self,
        list_id: str,
        web_id: int,
        description: Description,
        now: datetime,
        send: Callable[[Delivery], None],
        *,
        journal: Journal | None = None,
    ) -> None:
        """Create an empty audience. `send` takes webhook deliveries; `journal` records member changes."""
        self.id = list_id
        self.web_id = web_id
        self.description = description
        self.created_at = now
        self.merge_fields = MergeFields()
        self.segments = StaticSegments(first_id=web_id * 1000)
        self.webhooks = Webhooks(send)
        self.members_by_number: list[Member | None] = []
        """All members by number. The place of a permanently deleted member is None."""
        self.members: dict[str, Member] = {}
        """All members by id, the last changed at the end."""
        self.forgotten: set[str] = set()
        self.abuse_reports: list[AbuseReport] = []
        self.status_counts: Counter[Status] = Counter()
        self.last_subscribed: datetime | None = None
        self.last_unsubscribed: datetime | None = None
        self.version = 0
        """Increases with every change of a member."""
        self.is_sorted = True
        """Whether `members` is in the order of `last_changed`. A clock that goes back breaks the order."""
        self._latest = _BEGINNING
        self._reports_made = 0
        self._journal = journal or Journal()

    def find(self, key: str) -> Member | None:
        """Return a member by id, address or contact id, or None."""
        if "@" in key:
            return self.members.get(address_hash(key))
        return self.members.get(key) or self._by_contact_id(key)

    def get(self, key: str) -> Member:
        """Return a member as `find` does, or raise `not_found`."""
        member = self.find(key)
        if member is None:
            raise problems.not_found()
        return member

    def contact_id(self, member: Member) -> str:
        """Return the member's contact id, which stays the same when its address changes."""
        return f"{self.id}{member.number:0{_CONTACT_DIGITS}x}"

    def add(
        self,
        address: str,
        status: Status,
        origin: ChangeOrigin,
        *,
        values: Values = (),
        attributes: MemberAttributes = DEFAULT_ATTRIBUTES,
    ) -> Member:
        """Add a member with a new address."""
        member = Member(
            len(self.members_by_number),
            address_hash(address),
            address,
            status,
            origin.at,
            values=values,
            attributes=attributes,
        )
        self.members_by_number.append(member)
        self.members[member.id] = member
        self.status_counts[status] += 1
        self._track_order(origin.at)
        self._record_change(origin, (address, None), (address, status))
        self._apply_status(member, origin)
        return member

    def change_status(self, member: Member, status: Status, origin: ChangeOrigin, reason: str = "") -> None:
        """Set a member's status."""
        if member.status is not status:
            self._set_status(member, status, origin, reason)
            self._apply_status(member, origin)

    def record_complaint(self, member: Member, status: Status, origin: ChangeOrigin, reason: str) -> None:
        """Record a spam complaint, which sets the member's status."""
        self._reports_made += 1
        report = AbuseReport(self._reports_made, member, member.id, member.address, origin.at)
        self.abuse_reports.append(report)
        if member.status is not status:
            self._set_status(member, status, origin, reason)
            if status is Status.UNSUBSCRIBED:
                member.left_at = self.last_unsubscribed = origin.at
        self.set_compliance_state(member, ComplianceState.COMPLAINT)
        self._publish("cleaned", member, origin, reason="abuse")

    def set_compliance_state(self, member: Member, state: ComplianceState | None) -> None:
        """Set or clear a member's compliance state."""
        member.compliance_state = state

    def update(self, member: Member, origin: ChangeOrigin, *, values: Values, attributes: MemberAttributes) -> None:
        """Set a member's merge values and attributes."""
        if (values, attributes) == (member.values, member.attributes):
            return
        member.values, member.attributes = values, attributes
        self.touch(member, origin.at)
        self._publish("profile", member, origin)

    def change_address(self, member: Member, address: str, origin: ChangeOrigin) -> None:
        """Set a member's address, and with it the id."""
        before = replace(member)
        del self.members[member.id]
        member.id, member.address = address_hash(address), address
        self.members[member.id] = member
        self.touch(member, origin.at)
        self._record_change(origin, (before.address, member.status), (address, member.status))
        if len(self.webhooks) and before.id != member.id:
            self.webhooks.publish(address_changed(self.id, before, member, origin))

    def delete_permanently(self, member: Member, origin: ChangeOrigin) -> None:
        """Delete a member permanently. Only the contact can sign up with the address again."""
        del self.members[member.id]
        self.members_by_number[member.number] = None
        self.status_counts[member.status] -= 1
        self.segments.drop(member.number)
        self.abuse_reports = [report for report in self.abuse_reports if report.member is not member]
        self.forgotten.add(member.id)
        self.version += 1
        self._record_change(origin, (member.address, member.status), (member.address, None))
        self._publish("unsubscribe", member, origin, action="delete", reason="manual")

    def shift_last_changed(self, by: timedelta) -> None:
        """Move the members' `last_changed` into the past."""
        for member in self.members.values():
            member.last_changed -= by
        self.version += 1

    def touch(self, member: Member, now: datetime) -> None:
        """Set a member's `last_changed`."""
        member.last_changed = now
        self.members[member.id] = self.members.pop(member.id)
        self._track_order(now)

    def _track_order(self, now: datetime) -> None:
        self.version += 1
        self.is_sorted = self.is_sorted and now >= self._latest
        self._latest = max(self._latest, now)

    def _set_status(self, member: Member, status: Status, origin: ChangeOrigin, reason: str) -> None:
        former = member.status
        self.status_counts[former] -= 1
        self.status_counts[status] += 1
        member.status = status
        member.unsubscribe_reason = reason
        self.touch(member, origin.at)
        self._record_change(origin, (member.address, former), (member.address, status))

    def _record_change(
        self, origin: ChangeOrigin, former: tuple[str, Status | None], now: tuple[str, Status | None]
    ) -> None:
        self._journal.changed(origin.by, origin.at, self.id, former, now)

    def _apply_status(self, member: Member, origin: ChangeOrigin) -> None:
        if member.status is Status.SUBSCRIBED:
            member.opted_in_at = self.last_subscribed = origin.at
            self._publish("subscribe", member, origin)
        elif member.status is Status.UNSUBSCRIBED:
            member.left_at = self.last_unsubscribed = origin.at
            self._publish("unsubscribe", member, origin, action="unsub", reason="manual")
        elif member.status is Status.ARCHIVED:
            self._publish("unsubscribe", member, origin, action="archive", reason="manual")
        elif member.status is Status.CLEANED:
            member.compliance_state = member.compliance_state or ComplianceState.BOUNCED
            self._publish("cleaned", member, origin, reason="hard")

    def _publish(self, kind: str, member: Member, origin: ChangeOrigin, **more: str) -> None:
        if len(self.webhooks):
            merges = self.merge_fields.read(member.values)
            self.webhooks.publish(member_event(kind, self.id, member, merges, origin, **more))

    def _by_contact_id(self, key: str) -> Member | None:
        own, digits = key[: len(self.id)], key[len(self.id) :]
        if own != self.id or len(digits) != _CONTACT_DIGITS:
            return None
        try:
            return self.members_by_number[int(digits, 16)]
        except (ValueError, IndexError):
            return None
