"""Convert rows to segments, and query an organisation's rows."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from pydantic import ValidationError
from sqlalchemy import Select, select, update

from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import SegmentRow, SyncRequestRow, row_id, row_ids
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, Segment, SegmentStatus, SegmentType

_E = TypeVar("_E", bound=StrEnum)


def segment_of(row: SegmentRow) -> Segment:
    """Return the row as a segment. `Segment.unknown` lists the values that this version cannot read."""
    unknown: list[str] = []
    return Segment(
        id=str(row.id),
        organisation_id=row.organisation_id,
        name=row.name,
        segment_type=_read(SegmentType.MIXED, row.segment_type, "segment type", unknown),
        mailchimp_list_id=row.mailchimp_list_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        description=row.description,
        mailchimp_list_name=row.mailchimp_list_name,
        filter_criteria=_criteria(row.filter_criteria, unknown),
        on_leave=_read(OnLeave.KEEP, row.on_leave, "onLeave", unknown),
        # The next sync replaces the status, so an unknown one is no obstacle.
        status=_read(SegmentStatus.PENDING, row.status, "status", []),
        last_error=row.last_error,
        member_count=row.member_count,
        last_report=row.last_report,
        last_synced_at=row.last_synced_at,
        soft_deleted_at=row.soft_deleted_at,
        unknown=tuple(unknown),
    )


def _read(default: _E, stored: str, what: str, unknown: list[str]) -> _E:
    try:
        return type(default)(stored)
    except ValueError:
        unknown.append(f"{what} {stored!r}")
        return default


def _criteria(stored: Mapping[str, object], unknown: list[str]) -> FilterCriteria:
    readable: dict[str, object] = {}
    for name, values in stored.items():
        try:
            FilterCriteria.model_validate({name: values})
        except ValidationError:
            unknown.append(f"criterion {name!r}")
        else:
            readable[name] = values
    return FilterCriteria.model_validate(readable)


def live_segments(session: OrganisationSession) -> Select[SegmentRow]:
    """Return the query for the organisation's segments that are not deleted."""
    return select(SegmentRow).where(
        SegmentRow.organisation_id == session.organisation_id, SegmentRow.soft_deleted_at.is_(None)
    )


def live_segment(session: OrganisationSession, segment_id: str) -> SegmentRow | None:
    """Return the row of a live segment, None if it does not exist."""
    return session.scalar(live_segments(session).where(SegmentRow.id == row_id(segment_id)))


def locked_segment(session: OrganisationSession, segment_id: str) -> SegmentRow | None:
    """Return the current row of a live segment, locked until the transaction ends, None if it does not exist."""
    return next(iter(locked_segments(session, [segment_id])), None)


def locked_segments(session: OrganisationSession, segment_ids: Collection[str]) -> Sequence[SegmentRow]:
    """Return the current rows of live segments, locked until the transaction ends."""
    # All transactions lock in the same order, which prevents deadlocks.
    query = live_segments(session).where(SegmentRow.id.in_(row_ids(segment_ids))).order_by(SegmentRow.id)
    return session.scalars(query.with_for_update(), execution_options={"populate_existing": True}).all()


def end_requests(session: OrganisationSession, row: SegmentRow, status: str, *, error: str, at: datetime) -> None:
    """Mark the segment's requests with this status as failed."""
    requests = update(SyncRequestRow).where(
        SyncRequestRow.organisation_id == session.organisation_id,
        SyncRequestRow.segment_id == row.id,
        SyncRequestRow.status == status,
    )
    session.execute(requests.values(status="failed", error=error, finished_at=at))


def audit_entry(row: SegmentRow, action: str, by: str, at: datetime, details: Mapping[str, object]) -> audit.Entry:
    """Return the audit entry for a change of the segment."""
    return audit.Entry(by, action, audit.Entity("segment", str(row.id)), at, details)
