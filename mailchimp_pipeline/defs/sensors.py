"""What runs by events: requests for a sync, and runs that stopped before their work was done."""

# Dagster's decorators and makers of jobs have types with unknown parts.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import dagster as dg

from mailchimp_pipeline.defs.assets import AUDIENCE, MEMBERSHIP, REQUEST_TAG
from mailchimp_pipeline.defs.failures import foreseen
from mailchimp_pipeline.defs.jobs import scheduled_sync, segment_sync
from mailchimp_pipeline.defs.partitions import RANGE_END, RANGE_START, SEGMENTS
from mailchimp_pipeline.defs.stranded import end_stranded
from mailchimp_pipeline.runs.pipeline import Pipeline, StoppedRun

_SYNCING_JOBS = {scheduled_sync.name, segment_sync.name}
_SYNCED_ASSETS = {MEMBERSHIP, AUDIENCE}
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dg.sensor(
    name="sync_requests",
    job=segment_sync,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions in step with the segments, and starts a run for each request for a sync.",
)
def sync_requests(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """Ask for a run for every waiting request; a request's id as run key makes that one run, however often asked."""
    abandoned = pipeline.fail_abandoned()
    if abandoned:
        context.log.warning("%d segments were syncing in a process that is gone; they are in error now.", abandoned)
    requests = pipeline.waiting_requests()
    end_stranded(context, pipeline, [*requests, *pipeline.running_requests()])
    live = [segment.partition_key for segment in pipeline.due_segments()]
    ready = set(live)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=request.id, partition_key=request.partition_key, tags={REQUEST_TAG: request.id})
            for request in requests
            if request.partition_key in ready
        ],
        dynamic_partitions_requests=_partition_changes(context.instance, live),
    )


def _partition_changes(
    instance: dg.DagsterInstance, live: Sequence[str]
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    """Return what brings Dagster's partitions in step. None is taken from under a run that may be about to read it."""
    known = set(instance.get_dynamic_partitions(SEGMENTS.name or ""))
    changes: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if new := [key for key in live if key not in known]:
        changes.append(SEGMENTS.build_add_request(new))
    if gone := sorted(known - set(live)):
        under_way = instance.get_runs_count(dg.RunsFilter(statuses=_UNDER_WAY))
        changes += [] if under_way else [SEGMENTS.build_delete_request(gone)]
    return changes


@dg.sensor(
    name="dead_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose process is gone though Dagster takes them for running, so that they are retried.",
)
def dead_runs(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SkipReason:
    """Fail a run only when it was found dead at two looks in a row: its connection may just be coming back."""
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    runs = [run for run in context.instance.get_runs(started) if _syncs(run)]
    suspects = set((context.cursor or "").split())
    dead = {run.run_id for run in runs if not pipeline.is_alive(run.run_id)}
    for run in runs:
        if run.run_id in dead & suspects:
            context.instance.report_run_failed(run, "The run's process is gone: it holds no connection to PostgreSQL.")
    context.update_cursor(" ".join(sorted(dead - suspects)))
    return dg.SkipReason(f"{len(runs)} runs are going, {len(dead)} of them seem dead.")


@dg.run_failure_sensor(
    name="failed_runs",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Puts the segments that a failed run did not come to into error.",
)
def failed_runs(context: dg.RunFailureSensorContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Segments that failed by themselves have their own error already, and keep it."""
    why = foreseen(context.failure_event)
    _fail_segments(context, pipeline, f"failed before it came to this segment{f': {why}' if why else '.'}")


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    name="cancelled_runs",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Puts the segments that a cancelled run did not come to into error.",
)
def cancelled_runs(context: dg.RunStatusSensorContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Somebody stopped the run: say so on what it left undone."""
    _fail_segments(context, pipeline, "was cancelled before it came to this segment.")


def _fail_segments(context: dg.RunStatusSensorContext, pipeline: Pipeline, what: str) -> None:
    run = context.dagster_run
    if not _syncs(run):
        return
    record = context.instance.get_run_record_by_id(run.run_id)
    begun = datetime.fromtimestamp(record.start_time, UTC) if record and record.start_time else None
    stopped = StoppedRun(
        run.run_id,
        list(_partition_keys(context.instance, run)),
        begun or (record.create_timestamp if record else pipeline.now()),
        run.tags.get(REQUEST_TAG),
    )
    pipeline.fail_stopped(stopped, f"Run {run.run_id} {what} Ask for a sync again, or wait for the one at 05:00 UTC.")


def _partition_keys(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    if key := run.tags.get("dagster/partition"):
        yield key
    elif RANGE_START in run.tags:
        keys = instance.get_dynamic_partitions(SEGMENTS.name or "")
        first, last = run.tags[RANGE_START], run.tags[RANGE_END]
        if first in keys and last in keys:
            yield from keys[keys.index(first) : keys.index(last) + 1]


def _syncs(run: dg.DagsterRun) -> bool:
    """Tell whether it is a run over segments: one of our jobs, or started from the assets' own page."""
    return run.job_name in _SYNCING_JOBS or bool(_SYNCED_ASSETS & (run.asset_selection or set()))


SENSORS = [sync_requests, dead_runs, failed_runs, cancelled_runs]
