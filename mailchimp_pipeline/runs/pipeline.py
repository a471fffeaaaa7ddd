"""The port behind Dagster's assets, schedules and sensors. `assembly` makes the real one."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from mailchimp_pipeline.contacts import RelationVersion
    from mailchimp_pipeline.runs.results import SegmentResult
    from mailchimp_pipeline.segments import Segment


@dataclass(frozen=True, slots=True)
class SyncRequest:
    """Somebody's wish to have a segment synced now; which run has taken it up, and when, unless it waits for one."""

    id: str
    partition_key: str
    run_id: str | None = None
    taken_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """A run that stopped before it was done with the segments of these keys; `request_id` is what it served, if any."""

    id: str
    keys: Sequence[str]
    begun: datetime
    request_id: str | None = None


class Pipeline(Protocol):
    """The whole behind Dagster's assets, schedules and sensors."""

    def now(self) -> datetime:
        """Return the time."""
        ...

    def describe(self, relation: str) -> "RelationVersion":
        """Return what a source relation, employee or vendor, holds."""
        ...

    def due_segments(self) -> "Sequence[Segment]":
        """Return the live segments of connected organisations, those of one organisation next to each other."""
        ...

    def not_synced_since(self, moment: datetime) -> "Sequence[Segment]":
        """Return those of the due segments, created before the moment, whose last sync did not end well after it."""
        ...

    def waiting_requests(self) -> Sequence[SyncRequest]:
        """Return the requests that no run has taken up."""
        ...

    def running_requests(self) -> Sequence[SyncRequest]:
        """Return the requests that a run has taken up and not ended."""
        ...

    def at_work(self, run_id: str) -> AbstractContextManager[None]:
        """Show, for the block, that the process of this run is alive; a passing error where another one is it."""
        ...

    def sync(
        self, keys: Sequence[str], *, run_id: str, request_id: str | None, push: bool
    ) -> "Iterator[SegmentResult]":
        """Do the segments with these partition keys, for the run and the request if there is one.

        Keys whose segment is gone are passed over. Without `push` only the membership is made.
        """
        ...

    def fail_abandoned(self) -> int:
        """Put segments that are `syncing` though nothing is at them into `error`; return how many there were."""
        ...

    def fail_stopped(self, run: StoppedRun, reason: str) -> None:
        """Put what the run did not come to into `error`, and end its request unless another run took that over."""
        ...

    def is_alive(self, run_id: str) -> bool:
        """Tell whether the process of a run that began its work still has its connection to the database."""
        ...
