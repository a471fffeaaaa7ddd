"""Requests by users to sync a segment. A Dagster run serves a request, and its result ends the request."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.orm import Session

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.segment_store import audit_entry, locked_segment
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import SegmentRow, SyncRequestRow, as_value, row_ids


class RequestStatus(StrEnum):
    """The status of a sync request."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """A request to sync a segment. `run_id` is the Dagster run that serves it, None before the run starts."""

    id: str
    organisation_id: str
    segment_id: str
    status: RequestStatus
    requested_by: str
    requested_at: datetime
    departures_confirmed: bool = False
    run_id: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None

    @property
    def partition_key(self) -> str:
        """The segment's partition key in Dagster."""
        return f"{self.organisation_id}/{self.segment_id}"


class SyncRequestStore:
    """The sync requests of the session's organisation."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def ask(self, segment_id: str, *, by: str, at: datetime, departures_confirmed: bool = False) -> SyncRequest | None:
        """Request a sync of the segment. If a request is waiting already, that one is used.

        `departures_confirmed` permits any number of members to leave the segment at once. Return the request, or None
        if the segment does not exist.
        """
        # Locked, so that parallel callers share one request, and a deletion of the segment ends it.
        segment = locked_segment(self._session, segment_id)
        if segment is None:
            return None
        row = self._waiting(segment)
        if row is None:
            row = self._add(segment, by=by, at=at, departures_confirmed=departures_confirmed)
        elif departures_confirmed and not row.departures_confirmed:
            row.departures_confirmed = True
            audit_log.write(
                self._session, audit_entry(segment, "segment.departures_confirmed", by, at, {"request_id": str(row.id)})
            )
        return _request(row)

    def get(self, request_id: str) -> SyncRequest | None:
        """Return the request, None if it does not exist."""
        return self.some([request_id]).get(request_id)

    def some(self, request_ids: Collection[str]) -> Mapping[str, SyncRequest]:
        """Return the requests with these ids, by id. Requests that do not exist are left out."""
        rows = self._session.scalars(self._query(request_ids), execution_options={"populate_existing": True})
        return {str(row.id): _request(row) for row in rows}

    def open_since(self, segment_ids: Collection[str]) -> Mapping[str, datetime]:
        """Return when a sync of each segment was requested, by segment id. Without an open request, it is left out."""
        query = (
            select(SyncRequestRow.segment_id, func.max(SyncRequestRow.requested_at))
            .where(
                self._session.owns(SyncRequestRow),
                SyncRequestRow.segment_id.in_(row_ids(segment_ids)),
                SyncRequestRow.status.in_([RequestStatus.WAITING.value, RequestStatus.RUNNING.value]),
            )
            .group_by(SyncRequestRow.segment_id)
        )
        return {str(segment_id): at for segment_id, at in self._session.execute(query)}

    def start(
        self, request_ids: Collection[str], *, segment_ids: Collection[str], run_id: str, at: datetime
    ) -> tuple[SyncRequest, ...]:
        """Mark requests as running, served by the run `run_id`. Return the marked requests.

        Requests that are done, or for a segment that is not in `segment_ids`, are ignored. A retried run takes over the
        requests of the run before it, even if they are marked as failed.
        """
        started = update(SyncRequestRow).where(
            self._session.owns(SyncRequestRow),
            SyncRequestRow.id.in_(row_ids(request_ids)),
            SyncRequestRow.segment_id.in_(row_ids(segment_ids)),
            SyncRequestRow.status != RequestStatus.DONE.value,
        )
        values = {"run_id": run_id, "started_at": at, "error": None, "finished_at": None}
        rows = started.values(status=RequestStatus.RUNNING.value, **values).returning(SyncRequestRow)
        return tuple(map(_request, self._session.scalars(rows, execution_options={"populate_existing": True})))

    def finish(self, request_id: str, *, at: datetime) -> None:
        """Mark the request as done, because its run synced the segment. This also applies to a failed request."""
        row = self._locked(request_id)
        if row and row.run_id and row.status in {RequestStatus.RUNNING, RequestStatus.FAILED}:
            row.status, row.error, row.finished_at = RequestStatus.DONE.value, None, at

    def fail(self, request_id: str, error: str, *, at: datetime) -> None:
        """Mark the request as failed with this error, unless it has already ended."""
        if (row := self._locked(request_id)) and row.finished_at is None:
            row.status, row.error, row.finished_at = RequestStatus.FAILED.value, error, at

    def fail_stopped(self, request_ids: Collection[str], error: str, *, run_id: str, at: datetime) -> None:
        """Mark requests of the stopped run `run_id` as failed, unless they have ended or another run serves them."""
        stopped = update(SyncRequestRow).where(
            self._session.owns(SyncRequestRow),
            SyncRequestRow.id.in_(row_ids(request_ids)),
            SyncRequestRow.finished_at.is_(None),
            or_(SyncRequestRow.run_id.is_(None), SyncRequestRow.run_id == run_id),
        )
        self._session.execute(stopped.values(status=RequestStatus.FAILED.value, error=error, finished_at=at))

    def end_waiting(self, error: str, *, by: str, at: datetime) -> None:
        """Mark all waiting requests of the organisation as failed, for example because it disconnected."""
        waiting = update(SyncRequestRow).where(
            self._session.owns(SyncRequestRow),
            SyncRequestRow.status == RequestStatus.WAITING.value,
        )
        ending = waiting.values(status=RequestStatus.FAILED.value, error=error, finished_at=at)
        for segment_id in self._session.scalars(ending.returning(SyncRequestRow.segment_id)).all():
            entity = audit_log.Entity("segment", str(segment_id))
            audit_log.write(
                self._session, audit_log.Entry(by, "segment.sync_request_ended", entity, at, {"error": error})
            )

    def delete_ended(self, before: datetime, *, limit: int) -> int:
        """Delete at most `limit` requests that ended before the time `before`. Return how many were deleted."""
        # A locked row is about to change: a run that is retried takes failed requests over.
        ended = (
            select(SyncRequestRow.id)
            .where(self._session.owns(SyncRequestRow), SyncRequestRow.finished_at < before)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        gone = delete(SyncRequestRow).where(SyncRequestRow.id.in_(ended)).returning(SyncRequestRow.id)
        return len(self._session.scalars(gone, execution_options={"synchronize_session": False}).all())

    def _waiting(self, segment: SegmentRow) -> SyncRequestRow | None:
        """Return the segment's waiting request, locked until the transaction ends."""
        query = select(SyncRequestRow).where(
            self._session.owns(SyncRequestRow),
            SyncRequestRow.segment_id == segment.id,
            SyncRequestRow.status == RequestStatus.WAITING.value,
        )
        return self._session.scalar(query.with_for_update(), execution_options={"populate_existing": True})

    def _add(self, segment: SegmentRow, *, by: str, at: datetime, departures_confirmed: bool) -> SyncRequestRow:
        row = SyncRequestRow(
            organisation_id=self._session.organisation_id,
            segment_id=segment.id,
            status=RequestStatus.WAITING.value,
            requested_by=by,
            requested_at=at,
            departures_confirmed=departures_confirmed,
        )
        self._session.add(row)
        self._session.flush()
        details = {"departures_confirmed": departures_confirmed}
        audit_log.write(self._session, audit_entry(segment, "segment.sync_requested", by, at, details))
        return row

    def _locked(self, request_id: str) -> SyncRequestRow | None:
        query = self._query([request_id]).with_for_update()
        return self._session.scalar(query, execution_options={"populate_existing": True})

    def _query(self, request_ids: Collection[str]) -> Select[SyncRequestRow]:
        return select(SyncRequestRow).where(
            self._session.owns(SyncRequestRow),
            SyncRequestRow.id.in_(row_ids(request_ids)),
        )


def open_requests(session: Session) -> tuple[SyncRequest, ...]:
    """Return the waiting and running requests of all organisations, oldest first.

    Requests for deleted segments are left out.
    """
    query = (
        select(SyncRequestRow)
        .join(SegmentRow, SegmentRow.id == SyncRequestRow.segment_id)
        .where(
            SyncRequestRow.status.in_([RequestStatus.WAITING.value, RequestStatus.RUNNING.value]),
            SegmentRow.soft_deleted_at.is_(None),
        )
        .order_by(SyncRequestRow.requested_at, SyncRequestRow.id)
    )
    return tuple(map(_request, session.scalars(query)))


def organisations_with_ended_requests(session: Session, before: datetime) -> Sequence[str]:
    """Return the ids of the organisations with requests that ended before the time `before`."""
    query = select(SyncRequestRow.organisation_id).where(SyncRequestRow.finished_at < before).distinct()
    return session.scalars(query.order_by(SyncRequestRow.organisation_id)).all()


def _request(row: SyncRequestRow) -> SyncRequest:
    ids = {"id": str(row.id), "segment_id": str(row.segment_id)}
    return as_value(SyncRequest, row, **ids, status=RequestStatus(row.status))
