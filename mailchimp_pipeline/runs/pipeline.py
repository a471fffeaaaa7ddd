"""The port behind Dagster's assets, schedules and sensors. `assembly` makes the real one."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mailchimp_pipeline.contacts import RelationVersion
    from mailchimp_pipeline.runs.results import SegmentResult


@dataclass(frozen=True, slots=True)
class SegmentName:
    """What people and Dagster call a segment."""

    organisation_id: str
    id: str
    name: str

    @property
    def partition_key(self) -> str:
        """The segment's partition in Dagster, as `segments.Segment` has it."""
        return f"{self.organisation_id}/{self.id}"


@dataclass(frozen=True, slots=True)
class CheckedSegments:
    """The live segments of connected organisations, as the asset checks see them.

    `count` is the number of segments. The last sync of the segments in the other three failed for that reason.
    """

    count: int = 0
    against_consent: Sequence[SegmentName] = ()
    collapsed: Sequence[SegmentName] = ()
    rejected: Sequence[SegmentName] = ()


class RequestStatus(StrEnum):
    """How far a request for a sync has come."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """A request to sync a segment now. `run_id` is the run that serves it, None while it waits for one."""

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


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """A run that stopped before it was done with the segments of these keys and the requests that it served."""

    id: str
    keys: Sequence[str]
    begun: datetime
    request_ids: Sequence[str] = ()


class Pipeline(Protocol):
    """The pipeline, as Dagster's assets, schedules and sensors need it."""

    def now(self) -> datetime:
        """Return the time."""
        ...

    def describe(self, relation: str) -> "RelationVersion":
        """Return what a source relation, employee or vendor, holds."""
        ...

    def due_partition_keys(self) -> Sequence[str]:
        """Return the partition keys of the live segments of connected organisations, one organisation after another."""
        ...

    def not_synced_since(self, moment: datetime) -> Sequence[SegmentName]:
        """Return those of the due segments, created before the moment, whose last sync did not end well after it."""
        ...

    def checked_segments(self) -> CheckedSegments:
        """Return the segments that fail an asset check."""
        ...

    def open_requests(self) -> Sequence[SyncRequest]:
        """Return the requests for a sync that wait or are being served, the oldest first."""
        ...

    def at_work(self, run_id: str) -> AbstractContextManager[None]:
        """Hold the lock that shows that the run's process is alive. Raises `TransientError` if another one has it."""
        ...

    def sync(
        self, keys: Sequence[str], *, run_id: str, push: bool, request_ids: Sequence[str] = ()
    ) -> "Iterator[SegmentResult]":
        """Sync the segments with these partition keys, and end those of the requests that are not done yet.

        Segments that were deleted or whose organisation disconnected are passed over. Without `push` only the
        membership is made.
        """
        ...

    def fail_abandoned(self) -> int:
        """Put segments into `error` that are `syncing` in no process; return how many there were."""
        ...

    def fail_stopped(self, run: StoppedRun, reason: str) -> Sequence[str]:
        """Put what the run did not come to into `error`, and fail its requests unless another run serves them.

        Return the partition keys of the segments that were put into `error`.
        """
        ...

    def is_alive(self, run_id: str) -> bool:
        """Tell whether the run's process holds its lock, and with it a connection to the database."""
        ...
