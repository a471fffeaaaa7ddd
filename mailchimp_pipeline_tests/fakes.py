"""Mailchimp in memory, for tests of what uses the port `sync.Audiences`.

`mailchimp/test_audiences_contract.py` holds it to the real client.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from threading import RLock

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.contacts import subscriber_hash as hash_of
from mailchimp_pipeline.errors import LastingError, PipelineError
from mailchimp_pipeline.sync import (
    BATCH_SIZE,
    Audience,
    BatchAnswer,
    Found,
    MemberStatus,
    NewMember,
    Refusal,
    Renaming,
    Standing,
)


class NoSuchAudience(LastingError):
    """The fake has no audience with this id."""


@dataclass
class FakeMember:
    """A member; one that is `barred` only comes back by itself."""

    email: str
    status: MemberStatus
    changed_at: datetime
    merge_fields: Mapping[str, str] = field(default_factory=dict[str, str])
    barred: bool = False


@dataclass(frozen=True)
class Batch:
    """A batch as it was sent."""

    list_id: str
    members: tuple[NewMember, ...]
    update_existing: bool


@dataclass
class FakeAudience:
    """An audience and what Mailchimp will not take into it: `refusals` by address."""

    id: str = "a1b2c3d4e5"
    name: str = "Staff"
    double_optin: bool = False
    merge_tags: frozenset[str] = frozenset({"ADDRESS", "FNAME", "LNAME", "PHONE"})
    refusals: Mapping[str, Refusal] = field(default_factory=dict[str, Refusal])
    members: dict[str, FakeMember] = field(default_factory=dict[str, FakeMember])

    def described(self) -> Audience:
        """Return it as Mailchimp describes it."""
        subscribed = sum(member.status is MemberStatus.SUBSCRIBED for member in self.members.values())
        return Audience(self.id, self.name, subscribed, self.double_optin, web_id=1)

    def refusal(self, email: str) -> Refusal | None:
        """Return why a new contact would not be taken."""
        by_hash = {subscriber_hash(address): why for address, why in self.refusals.items()}
        return by_hash.get(subscriber_hash(email))


class FakeAudiences:
    """Audiences of one account. `failures` are raised by the calls to come, one each; a None lets one pass."""

    def __init__(
        self,
        *audiences: FakeAudience,
        failures: Iterable[PipelineError | None] = (),
        clock: Clock = utc_now,
        page_size: int = 1000,
    ) -> None:
        self._audiences = {audience.id: audience for audience in audiences or (FakeAudience(),)}
        self._clock = clock
        self._page_size = page_size
        self._lock = RLock()
        self.failures = deque(failures)
        self.batches: list[Batch] = []

    def put(self, list_id: str, email: str, status: MemberStatus, *, barred: bool = False) -> None:
        """Make a member, or change one, as somebody else than us."""
        self._audiences[list_id].members[subscriber_hash(email)] = FakeMember(
            email, status, self._clock(), barred=barred
        )

    def described(self) -> tuple[FakeAudience, ...]:
        """Return the audiences themselves, to be handed to another fake."""
        return tuple(self._audiences.values())

    def member(self, list_id: str, email: str) -> FakeMember | None:
        """Return a member as it is now."""
        return self._audiences[list_id].members.get(subscriber_hash(email))

    def audience(self, list_id: str) -> Audience:
        """See `sync.Audiences`."""
        return self._find(list_id).described()

    def merge_tags(self, list_id: str) -> frozenset[str]:
        """See `sync.Audiences`."""
        return self._find(list_id).merge_tags

    def standings(
        self, list_id: str, *, status: MemberStatus | None = None, since: datetime | None = None
    ) -> Iterator[Sequence[Standing]]:
        """See `sync.Audiences`."""
        found = [
            Standing(key, member.status, member.changed_at)
            for key, member in self._find(list_id).members.items()
            if (member.status is status or (status is None and member.status is not MemberStatus.ARCHIVED))
            and (since is None or member.changed_at > since)
        ]
        found.sort(key=lambda member: member.changed_at or self._clock(), reverse=True)
        for start in range(0, len(found), self._page_size):
            yield found[start : start + self._page_size]

    def subscribe(self, list_id: str, members: Sequence[NewMember], *, update_existing: bool) -> BatchAnswer:
        """See `sync.Audiences`."""
        if len(members) > BATCH_SIZE:
            raise ValueError(f"a batch has at most {BATCH_SIZE} members, this one has {len(members)}")
        with self._lock:
            audience = self._find(list_id)
            self.batches.append(Batch(list_id, tuple(members), update_existing))
            return self._answer(audience, members, update_existing=update_existing)

    def member_status(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        """See `sync.Audiences`."""
        member = self._find(list_id).members.get(subscriber_hash)
        return member.status if member else None

    def set_member_status(
        self, list_id: str, subscriber_hash: str, status: MemberStatus
    ) -> MemberStatus | Refusal | None:
        """See `sync.Audiences`."""
        with self._lock:
            member = self._find(list_id).members.get(subscriber_hash)
            if member is None:
                return None
            if member.barred and status is MemberStatus.SUBSCRIBED:
                return Refusal.COMPLIANCE
            member.status, member.changed_at = status, self._clock()
            return status

    def find_contact(self, list_id: str, contact_id: str) -> Found | None:
        """See `sync.Audiences`."""
        self._find(list_id)
        return None

    def rename_member(self, list_id: str, subscriber_hash: str, new_email: str) -> Renaming | Refusal:
        """See `sync.Audiences`."""
        with self._lock:
            audience = self._find(list_id)
            if subscriber_hash not in audience.members:
                return Renaming.UNKNOWN
            if hash_of(new_email) in audience.members:
                return Renaming.TAKEN
            if refusal := audience.refusal(new_email):
                return refusal
            member = audience.members.pop(subscriber_hash)
            member.email, member.changed_at = new_email, self._clock()
            audience.members[hash_of(new_email)] = member
            return Renaming.RENAMED

    def archive_member(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        """See `sync.Audiences`."""
        with self._lock:
            member = self._find(list_id).members.get(subscriber_hash)
            if member is None:
                return None
            if member.status not in {MemberStatus.PENDING, MemberStatus.CLEANED}:
                member.status, member.changed_at = MemberStatus.ARCHIVED, self._clock()
            return member.status

    def _answer(self, audience: FakeAudience, members: Sequence[NewMember], *, update_existing: bool) -> BatchAnswer:
        accepted: dict[str, str | None] = {}
        existing: set[str] = set()
        refused: dict[str, Refusal] = {}
        for member in {subscriber_hash(member.email): member for member in reversed(members)}.values():
            known = audience.members.get(subscriber_hash(member.email))
            if known and not update_existing and known.status is not MemberStatus.ARCHIVED:
                existing.add(member.subscriber_hash)
            elif refusal := _refusal(audience, known, member):
                refused[member.subscriber_hash] = refusal
            else:
                self._take(audience, known, member)
                accepted[member.subscriber_hash] = None
        return BatchAnswer(accepted, frozenset(existing), refused, self._clock() if accepted else None)

    def _take(self, audience: FakeAudience, known: FakeMember | None, member: NewMember) -> None:
        fields = {tag: value for tag, value in member.merge_fields.items() if tag in audience.merge_tags}
        merged = {**(known.merge_fields if known else {}), **fields}
        audience.members[subscriber_hash(member.email)] = FakeMember(
            member.email, member.status, self._clock(), merged, barred=bool(known and known.barred)
        )

    def _find(self, list_id: str) -> FakeAudience:
        with self._lock:
            failure = self.failures.popleft() if self.failures else None
        if failure:
            raise failure
        if list_id not in self._audiences:
            raise NoSuchAudience(f"The account has no audience {list_id}; make it in the test.")
        return self._audiences[list_id]


def _refusal(audience: FakeAudience, known: FakeMember | None, member: NewMember) -> Refusal | None:
    if known is None:
        return audience.refusal(member.email)
    return Refusal.COMPLIANCE if known.barred and member.status is MemberStatus.SUBSCRIBED else None
