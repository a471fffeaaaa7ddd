"""The whole behind Dagster in memory: segments that sync or fail as they are told to.

It stands for `assembly.DatabasePipeline`; what that does is tested in `runs/test_pipeline.py`.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from mailchimp_pipeline.contacts import RelationVersion
from mailchimp_pipeline.definitions import build_definitions
from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.runs.pipeline import StoppedRun, SyncRequest
from mailchimp_pipeline.runs.results import MembershipCounts, SegmentResult
from mailchimp_pipeline.segments import Exclusion, Segment, SegmentType
from mailchimp_pipeline.sync import Audience, Refusal, SyncReport

AT = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
COUNTS = MembershipCounts(
    matching=5, members=4, excluded={Exclusion.INVALID_ADDRESS: 1}, before=2, added=2, changed=0, removed=0
)
REPORT = SyncReport(wanted=4, new=2, unchanged=1, refused={Refusal.FAKE: 1}, calls=1)


def a_segment(partition_key: str) -> Segment:
    """Return the segment of a partition."""
    organisation_id, _, segment_id = partition_key.rpartition("/")
    return Segment(segment_id, organisation_id, "Everybody", SegmentType.EMPLOYEE, "a1b2c3d4e5", AT, AT)


def a_result(partition_key: str, report: SyncReport = REPORT, *, web_id: int | None = 7) -> SegmentResult:
    """Return the result of a sync that went well."""
    audience = Audience("a1b2c3d4e5", "Staff", 4, double_optin=False, web_id=web_id)
    return SegmentResult(a_segment(partition_key), COUNTS, audience, report, seconds=1.5)


def location(pipeline: object) -> dg.Definitions:
    """Return the code location over a pipeline, and over nothing where it needs something else."""
    return build_definitions({"pipeline": pipeline, "campaigns": object(), "erasures": object()})


@dataclass(frozen=True)
class Asked:
    """A sync as it was asked for."""

    keys: tuple[str, ...]
    request_id: str | None
    push: bool


@dataclass
class FakePipeline:
    """`results` are given back for their partitions, others sync well; `alive` has runs with a process."""

    segments: Sequence[str] = ()
    results: Mapping[str, SegmentResult] = field(default_factory=dict[str, SegmentResult])
    requests: Sequence[SyncRequest] = ()
    running: Sequence[SyncRequest] = ()
    late: Sequence[str] = ()
    abandoned: int = 0
    unreadable: frozenset[str] = frozenset()
    time: datetime = AT
    alive: set[str] = field(default_factory=set[str])
    alive_when_described: list[bool] = field(default_factory=list[bool])
    asked: list[Asked] = field(default_factory=list[Asked])
    looked_since: list[datetime] = field(default_factory=list[datetime])
    stopped: list[tuple[StoppedRun, str]] = field(default_factory=list[tuple[StoppedRun, str]])

    def now(self) -> datetime:
        return self.time

    def describe(self, relation: str) -> RelationVersion:
        self.alive_when_described.append(bool(self.alive))
        if relation in self.unreadable:
            raise LastingError(f"There is no {relation}s.csv.")
        return RelationVersion(rows=12, version=f"{relation}-1")

    def due_segments(self) -> Sequence[Segment]:
        return [a_segment(key) for key in self.segments]

    def not_synced_since(self, moment: datetime) -> Sequence[Segment]:
        self.looked_since.append(moment)
        return [a_segment(key) for key in self.late]

    def waiting_requests(self) -> Sequence[SyncRequest]:
        return self.requests

    def running_requests(self) -> Sequence[SyncRequest]:
        return self.running

    @contextmanager
    def at_work(self, run_id: str) -> Generator[None]:
        self.alive.add(run_id)
        try:
            yield
        finally:
            self.alive.remove(run_id)

    def sync(self, keys: Sequence[str], *, run_id: str, request_id: str | None, push: bool) -> Iterator[SegmentResult]:
        assert run_id in self.alive, "a run syncs while it is known to be at work"
        self.asked.append(Asked(tuple(keys), request_id, push))
        return (self.results.get(key, a_result(key)) for key in keys)

    def fail_abandoned(self) -> int:
        return self.abandoned

    def fail_stopped(self, run: StoppedRun, reason: str) -> None:
        self.stopped.append((run, reason))

    def is_alive(self, run_id: str) -> bool:
        return run_id in self.alive
