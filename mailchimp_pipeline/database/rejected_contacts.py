"""List the rejected contacts of a segment, and retry them on request.

What does not belong here: recording rejections (`ledger`), the time of the next attempt (`sync.rejections`).
"""

from datetime import datetime

from sqlalchemy import Select, and_, select, tuple_, update

from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import RejectedContactRow, SegmentMemberRow, row_id


def rejected_contacts(
    session: OrganisationSession, segment_id: str, *, limit: int, cursor: str | None = None
) -> Page[RejectedContactRow]:
    """Return a page of the segment's rejected contacts, latest first. Raises `paging.CursorInvalid`.

    `next_attempt_at` is null if a contact is sent again only after a change of the contact or the audience.
    """
    row, query = RejectedContactRow, _of_segment(session, segment_id)
    if cursor is not None:
        query = query.where(tuple_(row.rejected_at, row.subscriber_hash) < read_cursor(cursor, str))
    rows = session.scalars(query.order_by(row.rejected_at.desc(), row.subscriber_hash.desc()).limit(limit + 1)).all()
    return page(rows, limit, lambda row: row, lambda one: cursor_after(one.rejected_at, one.subscriber_hash))


def retry_rejected(session: OrganisationSession, segment_id: str, *, by: str, at: datetime) -> int:
    """Make the segment's next sync send its rejected contacts again. Return the number of these contacts."""
    row = RejectedContactRow
    key = tuple_(row.mailchimp_list_id, row.subscriber_hash)
    hashes = _of_segment(session, segment_id).with_only_columns(row.mailchimp_list_id, row.subscriber_hash)
    retried = update(row).where(session.owns(row), key.in_(hashes)).values(is_final=False, next_attempt_at=at)
    count = len(session.scalars(retried.returning(row.subscriber_hash)).all())
    entity = audit.Entity("segment", segment_id)
    audit.write(session, audit.Entry(by, "segment.rejected_retried", entity, at, {"contacts": count}))
    return count


def _of_segment(session: OrganisationSession, segment_id: str) -> Select[RejectedContactRow]:
    row, member = RejectedContactRow, SegmentMemberRow
    columns = ("organisation_id", "mailchimp_list_id", "subscriber_hash")
    same = and_(*(getattr(member, name) == getattr(row, name) for name in columns))
    return select(row).join(member, same).where(session.owns(row), member.segment_id == row_id(segment_id))
