"""Segments of all organisations: due, late, failing a check, or abandoned."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast, func, or_, select
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.locks import audience_lock
from mailchimp_pipeline.database.locks.held import try_for_transaction
from mailchimp_pipeline.database.segments.progress import SegmentProgress
from mailchimp_pipeline.database.segments.rows import segment_of
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import AuditRow, ConnectionRow, SegmentRow, row_ids
from mailchimp_pipeline.segments import Segment, SegmentStatus
from mailchimp_pipeline.sync.segment_results import StopReason

_ABANDONED = (
    "The run that was syncing this segment stopped before it finished; "
    "it will be tried again by the next run, or ask for a sync."
)


@dataclass(frozen=True, slots=True)
class SegmentName:
    """The ids and the name of a segment."""

    organisation_id: str
    id: str
    name: str

    @property
    def partition_key(self) -> str:
        """The segment's partition key in Dagster, as in `segments.Segment`."""
        return f"{self.organisation_id}/{self.id}"


@dataclass(frozen=True, slots=True)
class CheckedSegments:
    """The live segments of connected organisations, for the asset checks.

    `count` is the number of segments. The other fields are the segments whose last sync failed for that reason.
    """

    count: int = 0
    against_consent: Sequence[SegmentName] = ()
    collapsed: Sequence[SegmentName] = ()
    rejected: Sequence[SegmentName] = ()


def due_segments(session: Session, keys: Collection[str] | None = None) -> tuple[Segment, ...]:
    """Return the live segments of connected organisations, ordered by organisation: all, or those with these keys."""
    query = select(SegmentRow).where(*_due()).order_by(*_BY_ORGANISATION)
    if keys is None:
        return tuple(map(segment_of, session.scalars(query)))
    wanted = set(keys)
    query = query.where(SegmentRow.id.in_(row_ids(key.rpartition("/")[2] for key in wanted)))
    return tuple(each for each in map(segment_of, session.scalars(query)) if each.partition_key in wanted)


def due_partition_keys(session: Session) -> tuple[str, ...]:
    """Return the partition keys of the due segments, ordered by organisation."""
    query = select(SegmentRow.organisation_id, SegmentRow.id).where(*_due()).order_by(*_BY_ORGANISATION)
    return tuple(f"{organisation_id}/{segment_id}" for organisation_id, segment_id in session.execute(query).all())


def not_synced_since(session: Session, moment: datetime) -> tuple[SegmentName, ...]:
    """Return the due segments created before `moment` whose last sync failed or was before `moment`."""
    late = (
        SegmentRow.created_at < moment,
        or_(
            SegmentRow.last_synced_at.is_(None),
            SegmentRow.last_synced_at < moment,
            SegmentRow.status == SegmentStatus.ERROR.value,
        ),
    )
    query = select(*_NAME).where(*_due(), *late).order_by(*_BY_ORGANISATION)
    return tuple(_name(*row) for row in session.execute(query).all())


def checked_segments(session: Session) -> CheckedSegments:
    """Return the results of the due segments' last syncs, for the asset checks."""
    stopped_by = (
        select(AuditRow.details["stopped_by"].astext)
        .where(
            AuditRow.organisation_id == SegmentRow.organisation_id,
            AuditRow.entity_type == "segment",
            AuditRow.entity_id == cast(SegmentRow.id, Text),
            AuditRow.action == "segment.failed",
        )
        .order_by(AuditRow.at.desc(), AuditRow.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    in_error = select(*_NAME, stopped_by).where(*_due(), SegmentRow.status == SegmentStatus.ERROR.value)
    stopped = [
        (_name(organisation_id, segment_id, name), rule)
        for organisation_id, segment_id, name, rule in session.execute(in_error.order_by(*_BY_ORGANISATION)).all()
    ]
    return CheckedSegments(
        count=session.scalar(select(func.count()).where(*_due())) or 0,
        against_consent=[name for name, rule in stopped if rule == StopReason.CONSENT],
        collapsed=[name for name, rule in stopped if rule == StopReason.DEPARTURES],
        rejected=[name for name, rule in stopped if rule == StopReason.REJECTIONS],
    )


def fail_abandoned(database: Database, *, at: datetime) -> int:
    """Set `syncing` segments to error if no process holds their audience's lock. Return their number."""
    syncing = select(SegmentRow.organisation_id, SegmentRow.mailchimp_list_id, SegmentRow.id).where(
        SegmentRow.status == SegmentStatus.SYNCING.value, SegmentRow.soft_deleted_at.is_(None)
    )
    with database.everyone() as session:
        suspects = session.execute(syncing).all()
    abandoned = 0
    for organisation_id, list_id, segment_id in suspects:
        with database.organisation(organisation_id) as session:
            # A sync takes the lock before it sets the status, so no sync runs while the lock is held here.
            if try_for_transaction(session, audience_lock(organisation_id, list_id)):
                abandoned += SegmentProgress(session).abandon(str(segment_id), _ABANDONED, at=at)
    return abandoned


_NAME = (SegmentRow.organisation_id, SegmentRow.id, SegmentRow.name)
_BY_ORGANISATION = (SegmentRow.organisation_id, SegmentRow.created_at, SegmentRow.id)


def _due() -> tuple[ColumnElement[bool], ...]:
    connected = select(ConnectionRow.organisation_id).where(ConnectionRow.soft_deleted_at.is_(None))
    return SegmentRow.soft_deleted_at.is_(None), SegmentRow.organisation_id.in_(connected)


def _name(organisation_id: str, segment_id: UUID, name: str) -> SegmentName:
    return SegmentName(organisation_id, str(segment_id), name)
