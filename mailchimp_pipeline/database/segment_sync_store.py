"""The history of a segment: its syncs that ended."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, tuple_

from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor, row_number
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import SegmentSyncRow, row_id
from mailchimp_pipeline.sync.segment_results import StopReason, SyncRun

KEPT = timedelta(days=400)
"""How long a sync is kept: a year, and a month in which the last year can be compared with the one before."""


def record_sync(  # noqa: PLR0913 - each is known or not
    session: OrganisationSession,
    segment_id: UUID,
    started_at: datetime | None,
    ended_at: datetime,
    run: SyncRun | None,
    *,
    error: str | None = None,
    stopped_by: StopReason | None = None,
    figures: dict[str, object] | None = None,
) -> None:
    """Add a sync to the segment's history. Delete the segment's syncs that ended more than `KEPT` before it.

    `SegmentSyncRow` describes the values. `error` must have no personal data, and no places (`errors.without_places`).
    """
    row = SegmentSyncRow
    session.execute(delete(row).where(session.owns(row), row.segment_id == segment_id, row.ended_at < ended_at - KEPT))
    session.add(
        SegmentSyncRow(
            organisation_id=session.organisation_id,
            segment_id=segment_id,
            started_at=started_at,
            ended_at=ended_at,
            trigger=run and run.trigger.value,
            run_id=run and run.id,
            error=error,
            stopped_by=stopped_by and stopped_by.value,
            figures=figures,
        )
    )


def delete_syncs(session: OrganisationSession, segment_id: UUID) -> None:
    """Delete the history of the segment."""
    session.execute(delete(SegmentSyncRow).where(session.owns(SegmentSyncRow), SegmentSyncRow.segment_id == segment_id))


def past_syncs(
    session: OrganisationSession, segment_id: str, *, limit: int, cursor: str | None = None
) -> Page[SegmentSyncRow]:
    """Return a page of the segment's syncs, latest first.

    Raises `paging.CursorInvalid` if the cursor was not returned by a page of this list.
    """
    row = SegmentSyncRow
    query = select(row).where(session.owns(row), row.segment_id == row_id(segment_id))
    if cursor is not None:
        query = query.where(tuple_(row.ended_at, row.id) < read_cursor(cursor, row_number))
    rows = session.scalars(query.order_by(row.ended_at.desc(), row.id.desc()).limit(limit + 1)).all()
    return page(rows, limit, lambda one: one, lambda one: cursor_after(one.ended_at, one.id))
