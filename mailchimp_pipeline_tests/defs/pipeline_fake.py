"""An in-memory `services.pipeline.Pipeline` for the tests of Dagster's definitions.

`runs/test_pipeline.py` tests the real one.
"""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from mailchimp_pipeline.contacts import RelationVersion
from mailchimp_pipeline.database.segment_store import CheckedSegments, SegmentName
from mailchimp_pipeline.database.sync_request_store import RequestStatus, SyncRequest
from mailchimp_pipeline.definitions import build_definitions
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.segments import Exclusion, Segment, SegmentType
from mailchimp_pipeline.services.stopped_run import StoppedRun
from mailchimp_pipeline.sync import Audience, Rejection, SyncReport
from mailchimp_pipeline.sync.segment_results import MembershipCounts, SegmentResult, Trigger

AT = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
COUNTS = MembershipCounts(
    matching=5, members=4, excluded={Exclusion.INVALID_ADDRESS: 1}, before=2, added=2, changed=0, removed=0
)
REPORT = SyncReport(wanted=4, new=2, unchanged=1, rejected={Rejection.FAKE: 1}, calls=1)


def a_segment(partition_key: str) -> Segment:
    """Return the segment of a partition."""
    organisation_id, _, segment_id = partition_key.rpartition("/")
    return Segment(segment_id, organisation_id, "Everybody", SegmentType.EMPLOYEE, "a1b2c3d4e5", AT, AT)


def a_segment_name(partition_key: str) -> SegmentName:
    """Return the name of a partition's segment."""
    organisation_id, _, segment_id = partition_key.rpartition("/")
    return SegmentName(organisation_id, segment_id, "Everybody")


def a_request(request_id: str, partition_key: str, run_id: str | None = None) -> SyncRequest:
    """Return a waiting request, or one that the run serves."""
    organisation_id, _, segment_id = partition_key.rpartition("/")
    status = RequestStatus.RUNNING if run_id else RequestStatus.WAITING
    started_at = AT if run_id else None
    return SyncRequest(
        request_id, organisation_id, segment_id, status, "alice", AT, run_id=run_id, started_at=started_at
    )


def a_result(partition_key: str, report: SyncReport = REPORT, *, web_id: int | None = 7) -> SegmentResult:
    """Return the result of a successful sync."""
    audience = Audience("a1b2c3d4e5", "Staff", 4, double_optin=False, web_id=web_id)
    return SegmentResult(a_segment(partition_key), COUNTS, audience, report, seconds=1.5)


def failing_partitions(evaluation: dg.AssetCheckEvaluation) -> list[object]:
    """Return the partition keys in an asset check's table of failures."""
    table = evaluation.metadata["failing"]
    assert isinstance(table, dg.TableMetadataValue)
    return [record.data["partition"] for record in table.records]


def code_location(pipeline: object) -> dg.Definitions:
    """Return the code location with this pipeline, and placeholders for the other resources."""
    return build_definitions({"pipeline": pipeline, "campaigns": object(), "erasures": object(), "retention": object()})


@dataclass(frozen=True)
class RequestedSync:
    """The arguments of a `sync` call."""

    keys: tuple[str, ...]
    push: bool
    request_ids: tuple[str, ...] = ()
    trigger: Trigger = Trigger.DAGSTER


@dataclass
class FakePipeline:
    """A pipeline that returns `results` by partition, and a successful result for the others."""

    segments: Sequence[str] = ()
    results: Mapping[str, SegmentResult] = field(default_factory=dict[str, SegmentResult])
    requests: Sequence[SyncRequest] = ()
    checked: CheckedSegments = field(default_factory=CheckedSegments)
    overdue: Sequence[str] = ()
    abandoned: int = 0
    unreadable: frozenset[str] = frozenset()
    time: datetime = AT
    alive: set[str] = field(default_factory=set[str])
    was_alive_at_describe: list[bool] = field(default_factory=list[bool])
    requested_syncs: list[RequestedSync] = field(default_factory=list[RequestedSync])
    not_synced_since_calls: list[datetime] = field(default_factory=list[datetime])
    stopped: list[tuple[StoppedRun, str]] = field(default_factory=list[tuple[StoppedRun, str]])

    def now(self) -> datetime:
        return self.time

    def describe(self, relation: str) -> RelationVersion:
        self.was_alive_at_describe.append(bool(self.alive))
        if relation in self.unreadable:
            raise PermanentError(f"There is no {relation}s.csv.")
        return RelationVersion(rows=12, version=f"{relation}-1")

    def due_partition_keys(self) -> Sequence[str]:
        return self.segments

    def not_synced_since(self, moment: datetime) -> Sequence[SegmentName]:
        self.not_synced_since_calls.append(moment)
        return [a_segment_name(key) for key in self.overdue]

    def checked_segments(self) -> CheckedSegments:
        return self.checked

    def open_requests(self) -> Sequence[SyncRequest]:
        return self.requests

    @contextmanager
    def hold_run_lock(self, run_id: str) -> Generator[None]:
        self.alive.add(run_id)
        try:
            yield
        finally:
            self.alive.remove(run_id)

    def sync(
        self, keys: Sequence[str], *, run_id: str, push: bool, trigger: Trigger, request_ids: Sequence[str] = ()
    ) -> Iterator[SegmentResult]:
        assert run_id in self.alive, "a run syncs while it is known to be at work"
        self.requested_syncs.append(RequestedSync(tuple(keys), push, tuple(request_ids), trigger))
        return (self.results.get(key, a_result(key)) for key in keys)

    def fail_abandoned(self) -> int:
        return self.abandoned

    def fail_stopped(self, run: StoppedRun, reason: str) -> Sequence[str]:
        self.stopped.append((run, reason))
        return run.keys

    def is_alive(self, run_id: str) -> bool:
        return run_id in self.alive
