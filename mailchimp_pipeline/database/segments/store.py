"""Create, read, change and delete segments."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from sqlalchemy import delete, tuple_

from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.segments.rows import (
    audit_entry,
    end_requests,
    live_segment,
    live_segments,
    locked_segment,
    segment_of,
)
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.shared_accounts import claim_audience
from mailchimp_pipeline.database.tables import SegmentMemberRow, SegmentRow
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, Segment, SegmentStatus, SegmentType


@dataclass(frozen=True, slots=True)
class NewSegment:
    """The values of a new segment."""

    name: str
    segment_type: SegmentType
    mailchimp_list_id: str
    description: str | None = None
    mailchimp_list_name: str | None = None
    filter_criteria: FilterCriteria = field(default_factory=FilterCriteria)
    on_leave: OnLeave = OnLeave.KEEP


class SegmentChanges(TypedDict, total=False):
    """The values to change. Omitted values stay the same."""

    name: str
    description: str | None
    filter_criteria: FilterCriteria
    on_leave: OnLeave


class SegmentStore:
    """The segments of the session's organisation, without deleted ones."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def create(self, new: NewSegment, *, by: str, at: datetime) -> Segment:
        """Create a segment with the status `pending`.

        Raises `AudienceTaken` if another organisation uses the audience.
        """
        claim_audience(self._session, new.mailchimp_list_id)
        row = SegmentRow(
            organisation_id=self._session.organisation_id,
            name=new.name,
            description=new.description,
            segment_type=new.segment_type.value,
            mailchimp_list_id=new.mailchimp_list_id,
            mailchimp_list_name=new.mailchimp_list_name,
            filter_criteria=new.filter_criteria.model_dump(mode="json"),
            on_leave=new.on_leave.value,
            status=SegmentStatus.PENDING.value,
            status_changed_at=at,
            created_at=at,
            updated_at=at,
        )
        self._session.add(row)
        self._session.flush()
        details = {"segment_type": row.segment_type, "mailchimp_list_id": row.mailchimp_list_id}
        audit.write(self._session, audit_entry(row, "segment.created", by, at, details))
        return segment_of(row)

    def get(self, segment_id: str) -> Segment | None:
        """Return the segment, None if it does not exist."""
        row = live_segment(self._session, segment_id)
        return row and segment_of(row)

    def all(self) -> tuple[Segment, ...]:
        """Return all segments, oldest first."""
        rows = self._session.scalars(live_segments(self._session).order_by(SegmentRow.created_at, SegmentRow.id))
        return tuple(map(segment_of, rows))

    def list(self, *, limit: int, cursor: str | None = None) -> Page[Segment]:
        """Return a page of segments, newest first. Raises `paging.CursorInvalid`."""
        query = live_segments(self._session)
        if cursor is not None:
            query = query.where(tuple_(SegmentRow.created_at, SegmentRow.id) < read_cursor(cursor, UUID))
        query = query.order_by(SegmentRow.created_at.desc(), SegmentRow.id.desc()).limit(limit + 1)
        rows = self._session.scalars(query).all()
        return page(rows, limit, segment_of, lambda row: cursor_after(row.created_at, row.id))

    def update(self, segment_id: str, changes: SegmentChanges, *, by: str, at: datetime) -> Segment | None:
        """Change the segment. Return it, None if it does not exist."""
        row = locked_segment(self._session, segment_id)
        if row is None:
            return None
        if "name" in changes:
            row.name = changes["name"]
        if "description" in changes:
            row.description = changes["description"]
        if "filter_criteria" in changes:
            row.filter_criteria = changes["filter_criteria"].model_dump(mode="json")
        if "on_leave" in changes:
            row.on_leave = changes["on_leave"].value
        row.updated_at = at
        audit.write(self._session, audit_entry(row, "segment.updated", by, at, {"changed": sorted(changes)}))
        return segment_of(row)

    def delete(self, segment_id: str, *, by: str, at: datetime) -> Segment | None:
        """Delete the segment and its members here; members at Mailchimp stay. Return it, None if it does not exist."""
        row = locked_segment(self._session, segment_id)
        if row is None:
            return None
        row.soft_deleted_at = at
        members = delete(SegmentMemberRow).where(
            SegmentMemberRow.organisation_id == row.organisation_id, SegmentMemberRow.segment_id == row.id
        )
        self._session.execute(members)
        end_requests(self._session, row, "waiting", error="The segment was deleted.", at=at)
        audit.write(self._session, audit_entry(row, "segment.deleted", by, at, {}))
        return segment_of(row)
