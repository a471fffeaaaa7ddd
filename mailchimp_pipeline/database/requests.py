"""Requests for a sync: somebody asked, a run takes it up, and it ends with that run.

What does not belong here: starting runs (`defs`), the segment's own status (`segments`).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.segments.rows import locked_segment, told
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import SegmentRow, SyncRequestRow, row_id


class RequestStatus(StrEnum):
    """How far a request has come."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Somebody's wish to have a segment synced now."""

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
        """The segment's partition in Dagster, as `segments.Segment` has it."""
        return f"{self.organisation_id}/{self.segment_id}"


class SyncRequestStore:
    """The requests of the session's organisation."""

    def __init__(self, session: OrganisationSession) -> None:
        self._session = session

    def ask(self, segment_id: str, *, by: str, at: datetime, departures_confirmed: bool = False) -> SyncRequest | None:
        """Ask for a sync of the segment, None where there is none; a request that waits already is returned.

        With `departures_confirmed` the person says that as many members may leave the segment as want to.
        """
        # One at a time: whoever asks beside this one finds the request that waits, whoever deletes the segment ends it.
        segment = locked_segment(self._session, segment_id)
        if segment is None:
            return None
        row = self._waiting(segment)
        if row is None:
            row = self._add(segment, by=by, at=at, departures_confirmed=departures_confirmed)
        elif departures_confirmed and not row.departures_confirmed:
            row.departures_confirmed = True
            audit.write(
                self._session, told(segment, "segment.departures_confirmed", by, at, {"request_id": str(row.id)})
            )
        return _request(row)

    def get(self, request_id: str) -> SyncRequest | None:
        """Return the request, None where there is none."""
        row = self._session.scalar(self._query(request_id))
        return row and _request(row)

    def start(self, request_id: str, *, run_id: str, at: datetime) -> bool:
        """Note that a run takes the request up; tell whether it was still to be done.

        A run that is retried takes over the request of the one before it.
        """
        row = self._locked(request_id)
        if row is None or row.status == RequestStatus.DONE:
            return False
        row.status, row.run_id, row.started_at = RequestStatus.RUNNING.value, run_id, at
        row.error = row.finished_at = None
        return True

    def finish(self, request_id: str, *, at: datetime) -> None:
        """Note that its run synced the segment, also where that run was given up for dead meanwhile."""
        row = self._locked(request_id)
        if row and row.run_id and row.status in {RequestStatus.RUNNING, RequestStatus.FAILED}:
            row.status, row.error, row.finished_at = RequestStatus.DONE.value, None, at

    def fail(self, request_id: str, error: str, *, at: datetime) -> None:
        """Note why its run did not sync the segment, unless it has ended already."""
        if (row := self._locked(request_id)) and row.finished_at is None:
            row.status, row.error, row.finished_at = RequestStatus.FAILED.value, error, at

    def end_waiting(self, error: str, *, by: str, at: datetime) -> None:
        """Fail the requests that wait, because nothing is going to serve them."""
        waiting = update(SyncRequestRow).where(
            SyncRequestRow.organisation_id == self._session.organisation_id,
            SyncRequestRow.status == RequestStatus.WAITING.value,
        )
        ending = waiting.values(status=RequestStatus.FAILED.value, error=error, finished_at=at)
        for segment_id in self._session.scalars(ending.returning(SyncRequestRow.segment_id)).all():
            entity = audit.Entity("segment", str(segment_id))
            audit.write(self._session, audit.Entry(by, "segment.sync_request_ended", entity, at, {"error": error}))

    def _waiting(self, segment: SegmentRow) -> SyncRequestRow | None:
        """Return the request that waits, kept from runs until the transaction ends."""
        query = select(SyncRequestRow).where(
            SyncRequestRow.organisation_id == self._session.organisation_id,
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
        audit.write(self._session, told(segment, "segment.sync_requested", by, at, details))
        return row

    def _locked(self, request_id: str) -> SyncRequestRow | None:
        query = self._query(request_id).with_for_update()
        return self._session.scalar(query, execution_options={"populate_existing": True})

    def _query(self, request_id: str) -> Select[SyncRequestRow]:
        return select(SyncRequestRow).where(
            SyncRequestRow.organisation_id == self._session.organisation_id, SyncRequestRow.id == row_id(request_id)
        )


def waiting_requests(session: Session) -> tuple[SyncRequest, ...]:
    """Return the requests of all organisations that no run has taken up, the oldest first."""
    return _requests(session, RequestStatus.WAITING)


def running_requests(session: Session) -> tuple[SyncRequest, ...]:
    """Return the requests of all organisations that a run has taken up and not ended, the oldest first."""
    return _requests(session, RequestStatus.RUNNING)


def _requests(session: Session, status: RequestStatus) -> tuple[SyncRequest, ...]:
    query = (
        select(SyncRequestRow)
        .join(SegmentRow, SegmentRow.id == SyncRequestRow.segment_id)
        .where(SyncRequestRow.status == status.value, SegmentRow.soft_deleted_at.is_(None))
        .order_by(SyncRequestRow.requested_at, SyncRequestRow.id)
    )
    return tuple(map(_request, session.scalars(query)))


def _request(row: SyncRequestRow) -> SyncRequest:
    return SyncRequest(
        id=str(row.id),
        organisation_id=row.organisation_id,
        segment_id=str(row.segment_id),
        status=RequestStatus(row.status),
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        departures_confirmed=row.departures_confirmed,
        run_id=row.run_id,
        started_at=row.started_at,
        finished_at=row.finished_at,
        error=row.error,
    )
