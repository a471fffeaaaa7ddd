"""Contacts of a segment that Mailchimp rejected: listed for a person, and sent again when a person asks for it.

What does not belong here: recording rejections (`ledger`), when a contact is sent again (`sync.rejections`).
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, select, tuple_, update

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import RejectedContactRow, SegmentMemberRow, row_id
from mailchimp_pipeline.sync import Rejection


@dataclass(frozen=True, slots=True)
class RejectedContact:
    """A rejected contact, since when, and when it is sent again; None: once the contact or the audience changes."""

    entity_type: EntityType
    entity_id: str
    reason: Rejection
    is_final: bool
    attempts: int
    rejected_at: datetime
    next_attempt_at: datetime | None


def rejected_contacts(
    session: OrganisationSession, segment_id: str, *, limit: int, cursor: str | None = None
) -> Page[RejectedContact]:
    """Return a page of the segment's rejected contacts, the latest first. Raises `paging.CursorInvalid`."""
    row, query = RejectedContactRow, _of_segment(session, segment_id)
    if cursor is not None:
        query = query.where(tuple_(row.rejected_at, row.subscriber_hash) < read_cursor(cursor, str))
    rows = session.scalars(query.order_by(row.rejected_at.desc(), row.subscriber_hash.desc()).limit(limit + 1)).all()
    return page(rows, limit, _contact, lambda one: cursor_after(one.rejected_at, one.subscriber_hash))


def retry_rejected(session: OrganisationSession, segment_id: str, *, by: str, at: datetime) -> int:
    """Let the segment's next sync send its rejected contacts again. Return how many there are."""
    row = RejectedContactRow
    hashes = _of_segment(session, segment_id).with_only_columns(row.mailchimp_list_id, row.subscriber_hash)
    retried = (
        update(row)
        .where(
            row.organisation_id == session.organisation_id,
            tuple_(row.mailchimp_list_id, row.subscriber_hash).in_(hashes),
        )
        .values(is_final=False, next_attempt_at=at)
    )
    count = len(session.scalars(retried.returning(row.subscriber_hash)).all())
    entity = audit.Entity("segment", segment_id)
    audit.write(session, audit.Entry(by, "segment.rejected_retried", entity, at, {"contacts": count}))
    return count


def _of_segment(session: OrganisationSession, segment_id: str) -> Select[RejectedContactRow]:
    row, member = RejectedContactRow, SegmentMemberRow
    return (
        select(row)
        .join(
            member,
            (member.organisation_id == row.organisation_id)
            & (member.mailchimp_list_id == row.mailchimp_list_id)
            & (member.subscriber_hash == row.subscriber_hash),
        )
        .where(row.organisation_id == session.organisation_id, member.segment_id == row_id(segment_id))
    )


def _contact(row: RejectedContactRow) -> RejectedContact:
    return RejectedContact(
        entity_type=EntityType(row.entity_type),
        entity_id=row.entity_id,
        reason=Rejection(row.reason),
        is_final=row.is_final,
        attempts=row.attempts,
        rejected_at=row.rejected_at,
        next_attempt_at=row.next_attempt_at,
    )
