"""The stored segments: their definitions, their sync status, and queries for segments that need attention.

A live segment is one that is not deleted. A live segment is due if its organisation is connected to Mailchimp: every
scheduled run syncs it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypedDict, TypeVar
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Select, delete, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import claim_audience
from mailchimp_pipeline.database.locks import audience_lock, try_for_transaction
from mailchimp_pipeline.database.paging import Page, cursor_after, page, read_cursor
from mailchimp_pipeline.database.segment_sync_store import delete_syncs, record_sync
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import (
    ConnectionRow,
    SegmentMemberRow,
    SegmentRow,
    SegmentSyncRow,
    SyncRequestRow,
    row_id,
    row_ids,
)
from mailchimp_pipeline.errors import without_places
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, Segment, SegmentStatus, SegmentType
from mailchimp_pipeline.sync.segment_results import StopReason, SyncRun, Trigger

_E = TypeVar("_E", bound=StrEnum)


def segment_of(row: SegmentRow) -> Segment:
    """Convert a row to a segment. `Segment.unknown` lists the values that this version cannot read."""
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
    """Return the query for the segments that are not deleted, of the organisation of `session`."""
    return select(SegmentRow).where(
        SegmentRow.organisation_id == session.organisation_id, SegmentRow.soft_deleted_at.is_(None)
    )


def live_segment(session: OrganisationSession, segment_id: str) -> SegmentRow | None:
    """Return the row of the segment, None if it does not exist or is deleted."""
    return session.scalar(live_segments(session).where(SegmentRow.id == row_id(segment_id)))


def locked_segment(session: OrganisationSession, segment_id: str) -> SegmentRow | None:
    """Lock the segment's row until the transaction ends, and return it. None if it does not exist or is deleted."""
    return next(iter(locked_segments(session, [segment_id])), None)


def locked_segments(session: OrganisationSession, segment_ids: Collection[str]) -> Sequence[SegmentRow]:
    """Lock the segments' rows until the transaction ends, and return them. Deleted segments are left out."""
    # All transactions lock in the same order, which prevents deadlocks.
    query = live_segments(session).where(SegmentRow.id.in_(row_ids(segment_ids))).order_by(SegmentRow.id)
    return session.scalars(query.with_for_update(), execution_options={"populate_existing": True}).all()


def end_requests(
    session: OrganisationSession, row: SegmentRow, status: str, *, error: str, at: datetime
) -> Sequence[str | None]:
    """Mark the segment's sync requests that have this status as failed. Return the ids of their runs."""
    requests = update(SyncRequestRow).where(
        SyncRequestRow.organisation_id == session.organisation_id,
        SyncRequestRow.segment_id == row.id,
        SyncRequestRow.status == status,
    )
    ended = requests.values(status="failed", error=error, finished_at=at)
    return session.scalars(ended.returning(SyncRequestRow.run_id)).all()


def audit_entry(row: SegmentRow, action: str, by: str, at: datetime, details: Mapping[str, object]) -> audit_log.Entry:
    """Make the audit log entry for a change of the segment."""
    return audit_log.Entry(by, action, audit_log.Entity("segment", str(row.id)), at, details)


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
    """The values of a segment to change. Omitted values stay the same."""

    name: str
    description: str | None
    filter_criteria: FilterCriteria
    on_leave: OnLeave


class SegmentStore:
    """The segments of the session's organisation. Deleted segments are treated as if they did not exist."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def create(self, new: NewSegment, *, by: str, at: datetime) -> Segment:
        """Create a segment with the status `pending`.

        Raises `AudienceTaken` if a segment of another organisation feeds the audience.
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
        audit_log.write(self._session, audit_entry(row, "segment.created", by, at, details))
        return segment_of(row)

    def get(self, segment_id: str) -> Segment | None:
        """Return the segment, None if it does not exist."""
        row = live_segment(self._session, segment_id)
        return row and segment_of(row)

    def all(self) -> tuple[Segment, ...]:
        """Return all segments, oldest first."""
        rows = self._session.scalars(live_segments(self._session).order_by(SegmentRow.created_at, SegmentRow.id))
        return tuple(map(segment_of, rows))

    def list(self, *, limit: int, cursor: str | None = None, status: SegmentStatus | None = None) -> Page[Segment]:
        """Return a page of segments, newest first, only those with this status if one is given.

        Raises `paging.CursorInvalid` if the cursor was not returned by a page of this list.
        """
        query = live_segments(self._session)
        if status is not None:
            query = query.where(SegmentRow.status == status.value)
        if cursor is not None:
            query = query.where(tuple_(SegmentRow.created_at, SegmentRow.id) < read_cursor(cursor, UUID))
        query = query.order_by(SegmentRow.created_at.desc(), SegmentRow.id.desc()).limit(limit + 1)
        rows = self._session.scalars(query).all()
        return page(rows, limit, segment_of, lambda row: cursor_after(row.created_at, row.id))

    def update(self, segment_id: str, changes: SegmentChanges, *, by: str, at: datetime) -> Segment | None:
        """Change the segment. Return the changed segment, None if it does not exist."""
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
        audit_log.write(self._session, audit_entry(row, "segment.updated", by, at, {"changed": sorted(changes)}))
        return segment_of(row)

    def delete(self, segment_id: str, *, by: str, at: datetime) -> Segment | None:
        """Delete the segment, its members and its history from the database. Members at Mailchimp stay.

        Return the deleted segment, None if it does not exist.
        """
        row = locked_segment(self._session, segment_id)
        if row is None:
            return None
        row.soft_deleted_at = at
        members = delete(SegmentMemberRow).where(
            SegmentMemberRow.organisation_id == row.organisation_id, SegmentMemberRow.segment_id == row.id
        )
        self._session.execute(members)
        delete_syncs(self._session, row.id)
        end_requests(self._session, row, "waiting", error="The segment was deleted.", at=at)
        audit_log.write(self._session, audit_entry(row, "segment.deleted", by, at, {}))
        return segment_of(row)


_ACTIONS = {
    SegmentStatus.SYNCING: "segment.syncing",
    SegmentStatus.SYNCED: "segment.synced",
    SegmentStatus.ERROR: "segment.failed",
}


class SegmentProgress:
    """Changes the status of segments of the session's organisation. Deleted segments are ignored.

    A sync that ends is added to the segment's history: when it started (None if it did not, or if that is unknown),
    and in which run (None if that is unknown).
    """

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def mark_syncing(self, segment_id: str, *, at: datetime) -> None:
        """Set the status to `syncing`.

        The caller must hold the audience's lock. A segment that is `syncing` while nobody holds the lock is treated as
        abandoned and set to `error`.
        """
        if row := locked_segment(self._session, segment_id):
            self._move(row, SegmentStatus.SYNCING, at)

    def mark_synced(  # noqa: PLR0913 - each is known or not
        self,
        segment_id: str,
        *,
        member_count: int,
        report: Mapping[str, object],
        at: datetime,
        started_at: datetime | None = None,
        run: SyncRun | None = None,
    ) -> None:
        """Record a successful sync. `report` has the counts of the sync as JSON values."""
        if row := locked_segment(self._session, segment_id):
            row.member_count, row.last_report, row.last_synced_at = member_count, dict(report), at
            record_sync(self._session, row.id, started_at, at, run, figures=row.last_report)
            self._move(row, SegmentStatus.SYNCED, at, details={"member_count": member_count, **report})

    def mark_error(  # noqa: PLR0913 - each is known or not
        self,
        segment_id: str,
        message: str,
        *,
        at: datetime,
        stopped_by: StopReason | None = None,
        member_count: int | None = None,
        report: Mapping[str, object] | None = None,
        started_at: datetime | None = None,
        run: SyncRun | None = None,
    ) -> None:
        """Record a failed sync. `message` must have no personal data. `report` has the counts of the sync.

        If `member_count` is None, the former count stays. The former report is replaced, even by None. `stopped_by` is
        the check that stopped the sync.
        """
        if row := locked_segment(self._session, segment_id):
            row.member_count = row.member_count if member_count is None else member_count
            row.last_report = None if report is None else dict(report)
            self._fail(row, message, at, started_at, run, stopped_by, row.last_report)

    def mark_untouched(
        self, segment_ids: Collection[str], message: str, *, since: datetime, at: datetime, run: SyncRun | None = None
    ) -> list[str]:
        """Set those of the segments to `error` whose status last changed before the time `since`. Return their ids."""
        untouched = [row for row in locked_segments(self._session, segment_ids) if row.status_changed_at < since]
        for row in untouched:
            self._fail(row, message, at, None, run)
        return [str(row.id) for row in untouched]

    def abandon(self, segment_id: str, message: str, *, at: datetime) -> bool:
        """If the segment is `syncing`, set it to `error`, and fail its running requests. Return whether it was.

        Its run is known if it was requested.
        """
        row = locked_segment(self._session, segment_id)
        if row is None or row.status != SegmentStatus.SYNCING:
            return False
        run_ids = end_requests(self._session, row, "running", error=message, at=at)
        run = next((SyncRun(run_id, Trigger.REQUEST) for run_id in run_ids if run_id), None)
        self._fail(row, message, at, row.status_changed_at, run)
        return True

    def _fail(  # noqa: PLR0913, PLR0917 - each is known or not
        self,
        row: SegmentRow,
        message: str,
        at: datetime,
        started_at: datetime | None,
        run: SyncRun | None,
        stopped_by: StopReason | None = None,
        figures: dict[str, object] | None = None,
    ) -> None:
        # Users of the organisation can read both.
        shown = without_places(message)
        details = {"error": shown, "stopped_by": stopped_by.value} if stopped_by else {"error": shown}
        record_sync(self._session, row.id, started_at, at, run, error=shown, stopped_by=stopped_by, figures=figures)
        self._move(row, SegmentStatus.ERROR, at, error=shown, details=details)

    def _move(
        self,
        row: SegmentRow,
        status: SegmentStatus,
        at: datetime,
        *,
        error: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        row.status, row.last_error, row.status_changed_at = status.value, error, at
        audit_log.write(self._session, audit_entry(row, _ACTIONS[status], audit_log.PIPELINE, at, details or {}))


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
        """The segment's partition key in Dagster."""
        return f"{self.organisation_id}/{self.id}"


@dataclass(frozen=True, slots=True)
class CheckedSegments:
    """The due segments whose last sync was stopped by a check, for Dagster's asset checks.

    `count` is the number of all due segments, stopped or not. `against_consent` are the segments with members who may
    not be e-mailed, `collapsed` those that more than half of their members would have left, and `rejected` those of
    which Mailchimp rejected too many contacts.
    """

    count: int = 0
    against_consent: Sequence[SegmentName] = ()
    collapsed: Sequence[SegmentName] = ()
    rejected: Sequence[SegmentName] = ()


def due_segments(session: Session, keys: Collection[str] | None = None) -> tuple[Segment, ...]:
    """Return the segments that are due for a sync, ordered by organisation.

    These are the segments of connected organisations that are not deleted. With `keys`, only those with these Dagster
    partition keys.
    """
    query = select(SegmentRow).where(*_due()).order_by(*_BY_ORGANISATION)
    if keys is None:
        return tuple(map(segment_of, session.scalars(query)))
    wanted = set(keys)
    query = query.where(SegmentRow.id.in_(row_ids(key.rpartition("/")[2] for key in wanted)))
    return tuple(each for each in map(segment_of, session.scalars(query)) if each.partition_key in wanted)


def due_partition_keys(session: Session) -> tuple[str, ...]:
    """Return the Dagster partition keys of the segments that are due for a sync, ordered by organisation."""
    query = select(SegmentRow.organisation_id, SegmentRow.id).where(*_due()).order_by(*_BY_ORGANISATION)
    return tuple(f"{organisation_id}/{segment_id}" for organisation_id, segment_id in session.execute(query).all())


def not_synced_since(session: Session, moment: datetime) -> tuple[SegmentName, ...]:
    """Return the segments whose last sync failed or was before `moment`, or that were never synced.

    Segments created after `moment`, and those of organisations that are not connected, are left out.
    """
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
    """Return the segments whose last sync was stopped by a check, for Dagster's asset checks."""
    stopped_by = (
        select(SegmentSyncRow.stopped_by)
        .where(SegmentSyncRow.organisation_id == SegmentRow.organisation_id, SegmentSyncRow.segment_id == SegmentRow.id)
        .order_by(SegmentSyncRow.ended_at.desc(), SegmentSyncRow.id.desc())
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
    """Set segments to `error` that are `syncing` while no process holds their audience's lock.

    The process that synced them has ended. Return how many there were.
    """
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


_WORST_FIRST = (SegmentStatus.ERROR, SegmentStatus.SYNCING, SegmentStatus.PENDING, SegmentStatus.SYNCED)


@dataclass(frozen=True, slots=True)
class Summary:
    """The worst status of an organisation's segments, and the time of their latest sync."""

    status: SegmentStatus
    last_synced_at: datetime | None


def summary(session: OrganisationSession) -> Summary:
    """Summarise the organisation's segments. Without segments, the status is `pending`."""
    query = (
        select(SegmentRow.status, func.max(SegmentRow.last_synced_at))
        .where(SegmentRow.organisation_id == session.organisation_id, SegmentRow.soft_deleted_at.is_(None))
        .group_by(SegmentRow.status)
    )
    latest = {SegmentStatus(status): at for status, at in session.execute(query).all()}
    worst = min(latest, key=_WORST_FIRST.index, default=SegmentStatus.PENDING)
    return Summary(worst, max((at for at in latest.values() if at is not None), default=None))
