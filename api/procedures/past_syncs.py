"""`mailchimp.segments.history`: the past syncs of a segment."""

from pydantic import Field

from api.procedures.context import Context
from api.procedures.inputs import PageInput
from api.procedures.segments import Count, SegmentInput, require_segment, sum_by_reason
from api.trpc import Router, UtcTime, WireModel
from mailchimp_pipeline.database.segment_sync_store import past_syncs
from mailchimp_pipeline.database.tables import SegmentSyncRow
from mailchimp_pipeline.segments import Exclusion
from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline.sync.segment_results import StopReason, Trigger

router: Router[Context] = Router("mailchimp.segments")


class SyncCounts(WireModel):
    """The numbers of contacts in one sync. What a sync before an upgrade did not count is 0."""

    matching: Count = 0
    """The contacts that match the filter."""
    excluded: dict[Exclusion, Count] = Field(default_factory=dict[Exclusion, Count])
    """The matching contacts that are no members, by reason."""
    wanted: Count = 0
    in_audience: Count = 0
    new: Count = 0
    changed: Count = 0
    moved: Count = 0
    """The members whose address was changed."""
    archived: Count = 0
    unsubscribed: Count = 0
    """The members who opted out here, and were unsubscribed before the sync."""
    rejected: dict[Rejection, Count] = Field(default_factory=dict[Rejection, Count])
    withheld: dict[Rejection, Count] = Field(default_factory=dict[Rejection, Count])


class PastSync(WireModel):
    """A sync of the segment that ended."""

    started_at: UtcTime | None
    """Null if the run stopped before the sync, or if the time is unknown."""
    ended_at: UtcTime
    trigger: Trigger | None
    """What started the run: the daily `schedule`, a `request`, or a person in `dagster`. Null if unknown."""
    run_id: str | None
    """The id of the run in Dagster; null if unknown."""
    error: str | None
    """Why it failed, and what to do; null if it succeeded."""
    stopped_by: StopReason | None
    """The rule that stopped it. `departures` are confirmed with `confirmDepartures`."""
    counts: SyncCounts | None
    """Null if it failed."""
    seconds: float | None
    """The duration; null without `startedAt`."""


class PastSyncPage(WireModel):
    """A page of past syncs, the latest first."""

    items: list[PastSync]
    next_cursor: str | None


class HistoryOfSegment(SegmentInput, PageInput):
    """A page of a segment's past syncs."""


@router.query("history")
def sync_history(context: Context, wanted: HistoryOfSegment) -> PastSyncPage:
    """Return a page of the segment's past syncs, the latest first. A sync is kept for 400 days."""
    with context.session() as session:
        require_segment(session, wanted.id)
        found = past_syncs(session, wanted.id, limit=wanted.limit, cursor=wanted.cursor)
    return PastSyncPage(items=[_past_sync(row) for row in found.items], next_cursor=found.next_cursor)


def _past_sync(row: SegmentSyncRow) -> PastSync:
    figures = row.figures or {}
    counts = {name: figures[name] for name in SyncCounts.model_fields if name in figures}
    counts["rejected"] = sum_by_reason(figures.get("rejected"), figures.get("waiting"))
    return PastSync(
        started_at=row.started_at,
        ended_at=row.ended_at,
        trigger=None if row.trigger is None else Trigger(row.trigger),
        run_id=row.run_id,
        error=row.error,
        stopped_by=None if row.stopped_by is None else StopReason(row.stopped_by),
        counts=None if row.error else SyncCounts.model_validate(counts),
        seconds=None if row.started_at is None else (row.ended_at - row.started_at).total_seconds(),
    )
