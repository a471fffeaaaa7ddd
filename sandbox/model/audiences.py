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
from sandbox.model.members import COMMON, Bar, Deed, Member, Status, Traits
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
        self.roster: list[Member | None] = []
        """All members by number. The place of a permanently deleted member is None."""
        self.members: dict[str, Member] = {}
        """All members by id, the last changed at the end."""
        self.forgotten: set[str] = set()
        self.abuse_reports: list[AbuseReport] = []
        self.tally: Counter[Status] = Counter()
        self.last_subscribed: datetime | None = None
        self.last_unsubscribed: datetime | None = None
        self.version = 0
        """Increases with every change of a member."""
        self.orderly = True
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

    def add(self, address: str, status: Status, deed: Deed, *, values: Values = (), traits: Traits = COMMON) -> Member:
        """Add a member with a new address."""
        member = Member(len(self.roster), address_hash(address), address, status, deed.at, values=values, traits=traits)
        self.roster.append(member)
        self.members[member.id] = member
        self.tally[status] += 1
        self._note_time(deed.at)
        self._write(deed, (address, None), (address, status))
        self._entered(member, deed)
        return member

    def move(self, member: Member, status: Status, deed: Deed, reason: str = "") -> None:
        """Set a member's status."""
        if member.status is not status:
            self._set_status(member, status, deed, reason)
            self._entered(member, deed)

    def complain(self, member: Member, status: Status, deed: Deed, reason: str) -> None:
        """Record a spam complaint, which sets the member's status."""
        self._reports_made += 1
        report = AbuseReport(self._reports_made, member, member.id, member.address, deed.at)
        self.abuse_reports.append(report)
        if member.status is not status:
            self._set_status(member, status, deed, reason)
            if status is Status.UNSUBSCRIBED:
                member.left_at = self.last_unsubscribed = deed.at
        self.bar(member, Bar.COMPLAINT)
        self._tell("cleaned", member, deed, reason="abuse")

    def bar(self, member: Member, bar: Bar | None) -> None:
        """Set or clear a member's compliance state."""
        member.bar = bar

    def rewrite(self, member: Member, deed: Deed, *, values: Values, traits: Traits) -> None:
        """Set a member's merge values and attributes."""
        if (values, traits) == (member.values, member.traits):
            return
        member.values, member.traits = values, traits
        self.touch(member, deed.at)
        self._tell("profile", member, deed)

    def readdress(self, member: Member, address: str, deed: Deed) -> None:
        """Set a member's address, and with it the id."""
        before = replace(member)
        del self.members[member.id]
        member.id, member.address = address_hash(address), address
        self.members[member.id] = member
        self.touch(member, deed.at)
        self._write(deed, (before.address, member.status), (address, member.status))
        if len(self.webhooks) and before.id != member.id:
            self.webhooks.tell(address_changed(self.id, before, member, deed))

    def forget(self, member: Member, deed: Deed) -> None:
        """Delete a member permanently. Only the contact can sign up with the address again."""
        del self.members[member.id]
        self.roster[member.number] = None
        self.tally[member.status] -= 1
        self.segments.drop(member.number)
        self.abuse_reports = [report for report in self.abuse_reports if report.member is not member]
        self.forgotten.add(member.id)
        self.version += 1
        self._write(deed, (member.address, member.status), (member.address, None))
        self._tell("unsubscribe", member, deed, action="delete", reason="manual")

    def age(self, by: timedelta) -> None:
        """Move the members' `last_changed` into the past."""
        for member in self.members.values():
            member.last_changed -= by
        self.version += 1

    def touch(self, member: Member, now: datetime) -> None:
        """Set a member's `last_changed`."""
        member.last_changed = now
        self.members[member.id] = self.members.pop(member.id)
        self._note_time(now)

    def _note_time(self, now: datetime) -> None:
        self.version += 1
        self.orderly = self.orderly and now >= self._latest
        self._latest = max(self._latest, now)

    def _set_status(self, member: Member, status: Status, deed: Deed, reason: str) -> None:
        former = member.status
        self.tally[former] -= 1
        self.tally[status] += 1
        member.status = status
        member.unsubscribe_reason = reason
        self.touch(member, deed.at)
        self._write(deed, (member.address, former), (member.address, status))

    def _write(self, deed: Deed, former: tuple[str, Status | None], now: tuple[str, Status | None]) -> None:
        self._journal.changed(deed.by, deed.at, self.id, former, now)

    def _entered(self, member: Member, deed: Deed) -> None:
        if member.status is Status.SUBSCRIBED:
            member.opted_in_at = self.last_subscribed = deed.at
            self._tell("subscribe", member, deed)
        elif member.status is Status.UNSUBSCRIBED:
            member.left_at = self.last_unsubscribed = deed.at
            self._tell("unsubscribe", member, deed, action="unsub", reason="manual")
        elif member.status is Status.ARCHIVED:
            self._tell("unsubscribe", member, deed, action="archive", reason="manual")
        elif member.status is Status.CLEANED:
            member.bar = member.bar or Bar.BOUNCED
            self._tell("cleaned", member, deed, reason="hard")

    def _tell(self, kind: str, member: Member, deed: Deed, **more: str) -> None:
        if len(self.webhooks):
            merges = self.merge_fields.read(member.values)
            self.webhooks.tell(member_event(kind, self.id, member, merges, deed, **more))

    def _by_contact_id(self, key: str) -> Member | None:
        own, digits = key[: len(self.id)], key[len(self.id) :]
        if own != self.id or len(digits) != _CONTACT_DIGITS:
            return None
        try:
            return self.roster[int(digits, 16)]
        except (ValueError, IndexError):
            return None
