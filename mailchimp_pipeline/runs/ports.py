"""What a run over segments needs of the database.

What does not belong here: Mailchimp and the ledger (`sync.ports`), what Dagster needs of a run (`pipeline`).
"""

from contextlib import AbstractContextManager
from typing import Protocol

import pandas as pd

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.runs.results import MembershipCounts, SegmentResult, StopReason
from mailchimp_pipeline.segments import Membership, Segment, Suppressions
from mailchimp_pipeline.sync import Ledger


class Hold(Protocol):
    """An audience that is held for a sync."""

    def require(self) -> None:
        """Raise `errors.Interrupted` where it is not held any more: somebody else may be at it."""
        ...


class Records(Protocol):
    """The database, as a run needs it."""

    def kinds_barred(self, organisation_id: str) -> frozenset[EntityType]:
        """Return of which relations somebody opted out or was erased."""
        ...

    def link_words(self, organisation_id: str, contacts: pd.DataFrame) -> None:
        """Let what was said at an address be the word of the contacts who have it by now."""
        ...

    def suppressions(self, organisation_id: str, contacts: pd.DataFrame) -> tuple[Suppressions, pd.DataFrame | None]:
        """Return who of the contacts must not be pushed; and who consented, None where that is not asked for."""
        ...

    def replace_members(
        self, segment: Segment, membership: Membership, *, departures_confirmed: bool
    ) -> MembershipCounts:
        """Make these the segment's members, writing only what differs. Raises `segments.MassDeparture`."""
        ...

    def violations(self, segment: Segment) -> int:
        """Count the segment's members who opted out or were erased: none, unless something is wrong."""
        ...

    def ledger(self, segment: Segment) -> Ledger:
        """Return the ledger of the segment's audience."""
        ...

    def hold_audience(self, segment: Segment) -> AbstractContextManager[Hold]:
        """Wait for the audience and keep others from syncing it meanwhile; a passing error where it stays taken."""
        ...

    def mark_syncing(self, segment: Segment) -> None:
        """Note that a run is at it."""
        ...

    def mark_synced(self, result: SegmentResult) -> None:
        """Note that the sync ended well, and its figures."""
        ...

    def mark_failed(self, segment: Segment, error: str, stopped_by: StopReason | None = None) -> None:
        """Note why the sync did not end well, and which rule stopped it, if one did."""
        ...
