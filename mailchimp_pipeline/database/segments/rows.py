"""Rows of segments into segments, and the way to one row."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Select, select, update

from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import SegmentRow, SyncRequestRow, row_id
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, Segment, SegmentStatus, SegmentType


def segment_of(row: SegmentRow) -> Segment:
    """Return the segment that a row holds."""
    return Segment(
        id=str(row.id),
        organisation_id=row.organisation_id,
        name=row.name,
        segment_type=SegmentType(row.segment_type),
        mailchimp_list_id=row.mailchimp_list_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        description=row.description,
        mailchimp_list_name=row.mailchimp_list_name,
        filter_criteria=FilterCriteria.model_validate(row.filter_criteria),
        on_leave=OnLeave(row.on_leave),
        status=SegmentStatus(row.status),
        last_error=row.last_error,
        member_count=row.member_count,
        last_report=row.last_report,
        last_synced_at=row.last_synced_at,
        soft_deleted_at=row.soft_deleted_at,
    )


def live_segments(session: OrganisationSession) -> Select[SegmentRow]:
    """Return the query of the organisation's segments that are not deleted."""
    return select(SegmentRow).where(
        SegmentRow.organisation_id == session.organisation_id, SegmentRow.soft_deleted_at.is_(None)
    )


def live_segment(session: OrganisationSession, segment_id: str) -> SegmentRow | None:
    """Return the row of a live segment, None where there is none."""
    return session.scalar(live_segments(session).where(SegmentRow.id == row_id(segment_id)))


def locked_segment(session: OrganisationSession, segment_id: str) -> SegmentRow | None:
    """Return the row of a live segment as it is now, kept from others until the transaction ends."""
    query = live_segments(session).where(SegmentRow.id == row_id(segment_id)).with_for_update()
    return session.scalar(query, execution_options={"populate_existing": True})


def end_requests(session: OrganisationSession, row: SegmentRow, status: str, *, error: str, at: datetime) -> None:
    """Fail the segment's requests for a sync that have this status."""
    requests = update(SyncRequestRow).where(
        SyncRequestRow.organisation_id == session.organisation_id,
        SyncRequestRow.segment_id == row.id,
        SyncRequestRow.status == status,
    )
    session.execute(requests.values(status="failed", error=error, finished_at=at))


def told(row: SegmentRow, action: str, by: str, at: datetime, details: Mapping[str, object]) -> audit.Entry:
    """Return the audit entry of a change of the segment."""
    return audit.Entry(by, action, audit.Entity("segment", str(row.id)), at, details)
