"""The database in memory, for tests of runs. `test_records_contract.py` holds it to the real one."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd

from mailchimp_pipeline.contacts import EntityType, content_digest
from mailchimp_pipeline.errors import Interrupted, PassingError
from mailchimp_pipeline.runs.results import MembershipCounts, SegmentResult, StopReason
from mailchimp_pipeline.segments import MassDeparture, Membership, Segment, Suppressions, is_mass_departure
from mailchimp_pipeline_tests.ledger_fake import FakeLedger
from mailchimp_pipeline_tests.populations import suppressing


class Taken(PassingError):
    """Another is at the audience."""


class Lost(Interrupted):
    """An audience is not held any more."""


@dataclass
class FakeHold:
    """A hold that is lost when it is looked after for the n-th time, each n in `lost_at`."""

    lost_at: frozenset[int] = frozenset()
    looked_after: int = 0

    def require(self) -> None:
        """See `runs.ports.Hold`."""
        self.looked_after += 1
        if self.looked_after in self.lost_at:
            raise Lost("The audience is not held any more.")


@dataclass
class FakeRecords:
    """Everything that runs write, by segment id; `violating` says how many members of a segment break its consent.

    `marks` are the statuses that segments went through, with the error of the last.
    """

    violating: dict[str, int] = field(default_factory=dict[str, int])
    ledgers: dict[str, FakeLedger] = field(default_factory=dict[str, FakeLedger])
    members: dict[str, pd.DataFrame] = field(default_factory=dict[str, pd.DataFrame])
    marks: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    held: set[str] = field(default_factory=set[str])
    hold: FakeHold = field(default_factory=FakeHold)

    def kinds_barred(self, organisation_id: str) -> frozenset[EntityType]:
        said = [each for ledger in self.ledgers.values() for each in ledger.said.items()]
        return frozenset(EntityType(kind) for (kind, _), word in said if not word.opted_in)

    def link_words(self, organisation_id: str, contacts: pd.DataFrame) -> None: ...

    def suppressions(self, organisation_id: str, contacts: pd.DataFrame) -> tuple[Suppressions, pd.DataFrame | None]:
        out = [entity for ledger in self.ledgers.values() for entity, said in ledger.said.items() if not said.opted_in]
        return suppressing(*((*entity, "opted_out") for entity in out)), None

    def replace_members(
        self, segment: Segment, membership: Membership, *, departures_confirmed: bool = False
    ) -> MembershipCounts:
        before, after = _digests(self.members.get(segment.id)), _digests(membership.members)
        removed = len(before.keys() - after.keys())
        if not departures_confirmed and is_mass_departure(len(before), removed):
            raise MassDeparture(segment.name, len(before), removed)
        self.members[segment.id] = membership.members
        self._ledger(segment).replace_members(segment.id, membership.members)
        return MembershipCounts(
            matching=membership.matching,
            members=len(after),
            excluded=membership.excluded,
            before=len(before),
            added=len(after.keys() - before.keys()),
            changed=sum(after[key] != before[key] for key in after.keys() & before.keys()),
            removed=removed,
        )

    def violations(self, segment: Segment) -> int:
        return self.violating.get(segment.id, 0)

    def ledger(self, segment: Segment) -> FakeLedger:
        return self._ledger(segment)

    @contextmanager
    def hold_audience(self, segment: Segment) -> Generator[FakeHold]:
        if segment.mailchimp_list_id in self.held:
            raise Taken(f"Somebody is at audience {segment.mailchimp_list_id}.")
        self.held.add(segment.mailchimp_list_id)
        try:
            yield self.hold
        finally:
            self.held.remove(segment.mailchimp_list_id)

    def mark_syncing(self, segment: Segment) -> None:
        self._mark(segment, "syncing")

    def mark_synced(self, result: SegmentResult) -> None:
        self._mark(result.segment, "synced")

    def mark_failed(self, segment: Segment, error: str, stopped_by: StopReason | None = None) -> None:
        self._mark(segment, f"error: {error}")

    def marks_of(self, segment: Segment) -> Sequence[str]:
        """Return the statuses that the segment went through."""
        return self.marks.get(segment.id, [])

    def _ledger(self, segment: Segment) -> FakeLedger:
        return self.ledgers.setdefault(segment.mailchimp_list_id, FakeLedger({}))

    def _mark(self, segment: Segment, status: str) -> None:
        self.marks.setdefault(segment.id, []).append(status)


def _digests(members: pd.DataFrame | None) -> dict[str, str]:
    if members is None or members.empty:
        return {}
    return dict(zip(members["subscriber_hash"], content_digest(members), strict=True))
