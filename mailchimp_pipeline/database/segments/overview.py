"""Segments over all organisations: which are due, which are late, and which no process is at any more."""

from datetime import datetime

from sqlalchemy import Select, or_, select
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.locks import audience_lock
from mailchimp_pipeline.database.locks.held import try_for_transaction
from mailchimp_pipeline.database.segments.progress import SegmentProgress
from mailchimp_pipeline.database.segments.rows import segment_of
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ConnectionRow, SegmentRow
from mailchimp_pipeline.segments import Segment, SegmentStatus

_ABANDONED = (
    "The run that was syncing this segment stopped before it finished; "
    "it will be tried again by the next run, or ask for a sync."
)


def due_segments(session: Session) -> tuple[Segment, ...]:
    """Return the live segments of all connected organisations, those of one organisation next to each other."""
    return tuple(map(segment_of, session.scalars(_due())))


def not_synced_since(session: Session, moment: datetime) -> tuple[Segment, ...]:
    """Return those of the due segments, made before the moment, whose last sync did not end well after it."""
    late = _due().where(
        SegmentRow.created_at < moment,
        or_(
            SegmentRow.last_synced_at.is_(None),
            SegmentRow.last_synced_at < moment,
            SegmentRow.status == SegmentStatus.ERROR.value,
        ),
    )
    return tuple(map(segment_of, session.scalars(late)))


def fail_abandoned(database: Database, *, at: datetime) -> int:
    """Put segments that are `syncing` though no process holds their audience into error; return how many."""
    syncing = select(SegmentRow.organisation_id, SegmentRow.mailchimp_list_id, SegmentRow.id).where(
        SegmentRow.status == SegmentStatus.SYNCING.value, SegmentRow.soft_deleted_at.is_(None)
    )
    with database.everyone() as session:
        suspects = session.execute(syncing).all()
    abandoned = 0
    for organisation_id, list_id, segment_id in suspects:
        with database.organisation(organisation_id) as session:
            # Whoever syncs takes the lock before it writes the status: with the lock in hand, nobody is at it.
            if try_for_transaction(session, audience_lock(organisation_id, list_id)):
                abandoned += SegmentProgress(session).abandon(str(segment_id), _ABANDONED, at=at)
    return abandoned


def _due() -> Select[SegmentRow]:
    connected = select(ConnectionRow.organisation_id).where(ConnectionRow.soft_deleted_at.is_(None))
    return (
        select(SegmentRow)
        .where(SegmentRow.soft_deleted_at.is_(None), SegmentRow.organisation_id.in_(connected))
        .order_by(SegmentRow.organisation_id, SegmentRow.created_at, SegmentRow.id)
    )
