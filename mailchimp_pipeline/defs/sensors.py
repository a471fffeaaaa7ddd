"""The sensors: for sync requests, and for runs that stopped early.

A request is orphaned if its run ended without ending the request. Dagster reports a failed run to a sensor only once,
even if the pipeline's database is unavailable at that moment. And after the restore of a backup, requests may be open
again that were served long ago.
"""

# The types of Dagster's decorators and job factories are partly unknown.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from mailchimp_pipeline.defs.assets import AUDIENCE, MEMBERSHIP, SEGMENTS_PER_RUN
from mailchimp_pipeline.defs.jobs import scheduled_sync, segment_sync
from mailchimp_pipeline.defs.pipeline_resources import Pipeline
from mailchimp_pipeline.defs.sync_runs import (
    ORGANISATION_TAG,
    SEGMENTS,
    UNFINISHED,
    SyncConfig,
    may_need_partitions,
    partition_keys,
    requested_run,
    show_as_failed,
    trigger_of,
    waiting_for_retry,
)
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.services.stopped_run import StoppedRun
from mailchimp_pipeline.sync.segment_results import Trigger

if TYPE_CHECKING:
    from mailchimp_pipeline.database.sync_request_store import SyncRequest


def foreseen(event: dg.DagsterEvent) -> str | None:
    """Return the text of the `PipelineError` that ended the run, or None if another error ended it."""
    kinds = {f"{kind.__module__}.{kind.__qualname__}" for kind in _kinds(PipelineError)}
    # Dagster wraps the raised error, and stores it as the cause.
    error: Any = getattr(event.event_specific_data, "error", None)
    while error is not None:
        kind, _, text = str(error.message).partition(": ")
        if kind in kinds:
            return text.strip()
        error = error.cause
    return None


def _kinds(kind: type[PipelineError]) -> Iterator[type[PipelineError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


GRACE = timedelta(minutes=2)
"""The time after the end of a run in which the sensor `failed_runs` may still end the run's requests. A request that is
open for longer is orphaned."""


def requests_to_serve(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> "Sequence[SyncRequest]":
    """Return the sync requests that need a run, oldest first. Orphaned requests are marked as failed before.

    An organisation has at most one run for requests at a time. A request is never given to a second run.
    """
    now = pipeline.now()
    requests = pipeline.open_requests()
    served = _organisations_being_served(context.instance, now) if requests else set[str]()
    to_serve: set[str] = set()
    for organisation_id in {request.organisation_id for request in requests} - served:
        theirs = [request for request in requests if request.organisation_id == organisation_id]
        latest = _latest_run(context.instance, organisation_id)
        given = SyncConfig.of(latest.dagster_run).requests if latest else []
        for stopped, request in _orphaned(context.instance, pipeline, theirs, latest, given):
            context.log.warning("Request %s was left open by run %s; it is ended now.", request.id, stopped.id)
            reason = (
                f"Run {stopped.id} is over, and how it ended could not be recorded: the pipeline's database was away "
                "then, or was restored since. Ask for a sync again, or wait for the one at 05:00 UTC."
            )
            pipeline.fail_stopped(stopped, reason)
        waiting = {request.id for request in theirs if request.run_id is None}
        # Requests given to the latest run are still waiting only if its end is not recorded yet.
        to_serve |= set[str]() if waiting & set(given) else waiting
    return [request for request in requests if request.id in to_serve]


def _organisations_being_served(instance: dg.DagsterInstance, now: datetime) -> set[str]:
    unfinished = instance.get_runs(dg.RunsFilter(job_name=segment_sync.name, statuses=UNFINISHED))
    runs = [*unfinished, *waiting_for_retry(instance, now, segment_sync.name)]
    return {run.tags.get(ORGANISATION_TAG, "") for run in runs}


def _latest_run(instance: dg.DagsterInstance, organisation_id: str) -> dg.RunRecord | None:
    theirs = dg.RunsFilter(job_name=segment_sync.name, tags={ORGANISATION_TAG: organisation_id})
    return next(iter(instance.get_run_records(theirs, limit=1)), None)


def _orphaned(
    instance: dg.DagsterInstance,
    pipeline: Pipeline,
    requests: "Sequence[SyncRequest]",
    latest: dg.RunRecord | None,
    given: Sequence[str],
) -> "Iterator[tuple[StoppedRun, SyncRequest]]":
    """Yield the orphaned requests, each with the run that left it open.

    `latest` is the organisation's last run for requests, and `given` are the ids of the requests in its config.
    """
    for request in requests:
        if request.run_id:
            run = instance.get_run_record_by_id(request.run_id)
            is_orphaned = _is_over(run, pipeline.now()) if run else not pipeline.is_alive(request.run_id)
            run_id, begun = request.run_id, request.started_at
        elif latest and request.id in given:
            is_orphaned = _is_over(latest, pipeline.now())
            run_id, begun = latest.dagster_run.run_id, latest.create_timestamp
        else:
            continue
        if is_orphaned:
            keys, since = [request.partition_key], begun or pipeline.now()
            yield StoppedRun(run_id, keys, since, [request.id], Trigger.REQUEST), request


def _is_over(record: dg.RunRecord, now: datetime) -> bool:
    """Return whether the run ended longer than `GRACE` ago."""
    if not record.dagster_run.is_finished or record.end_time is None:
        return False
    return now - datetime.fromtimestamp(record.end_time, UTC) >= GRACE


_SYNCING_JOBS = {scheduled_sync.name, segment_sync.name}
_SYNCED_ASSETS = {MEMBERSHIP, AUDIENCE}

_NEW_PARTITIONS_PER_TICK = 1000
"""The maximum number of partitions that a tick adds, which takes a second. Dagster ends a tick after a minute."""


@dg.sensor(
    name="sync_requests",
    job=segment_sync,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions in step with the segments, and starts runs for requests for a sync.",
)
def sync_requests(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SensorResult:
    """Request a run for each organisation with waiting sync requests, and update Dagster's partitions."""
    abandoned = pipeline.fail_abandoned()
    if abandoned:
        context.log.warning("%d segments were syncing in a process that is gone; they are in error now.", abandoned)
    to_serve = requests_to_serve(context, pipeline)
    live = pipeline.due_partition_keys()
    return dg.SensorResult(
        run_requests=_runs(to_serve, live),
        dynamic_partitions_requests=_partition_changes(context.instance, live, pipeline.now()),
    )


def _runs(requests: "Sequence[SyncRequest]", live: Sequence[str]) -> list[dg.RunRequest]:
    """Return a run request for each organisation. The organisation with the oldest sync request comes first."""
    ready = set(live)
    of: dict[str, list[SyncRequest]] = {}
    for request in requests:
        if request.partition_key in ready:
            of.setdefault(request.organisation_id, []).append(request)
    return [
        requested_run(
            organisation_id,
            SyncConfig(segments=[each.partition_key for each in theirs], requests=[each.id for each in theirs]),
        )
        for organisation_id, theirs in of.items()
    ]


def _partition_changes(
    instance: dg.DagsterInstance, live: Sequence[str], now: datetime
) -> list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest]:
    """Return the changes that make Dagster's partitions equal to the partition keys `live`.

    No partition is deleted while a run or backfill that a person started may need it.
    """
    known = set(instance.get_dynamic_partitions(SEGMENTS.name or ""))
    changes: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = []
    if new := [key for key in live if key not in known]:
        changes.append(SEGMENTS.build_add_request(new[:_NEW_PARTITIONS_PER_TICK]))
    if (gone := sorted(known - set(live))) and not may_need_partitions(instance, now):
        changes.append(SEGMENTS.build_delete_request(gone))
    return changes


@dg.sensor(
    name="dead_runs",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Fails runs whose process is gone though Dagster takes them for running, so that they are retried.",
)
def dead_runs(context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.SkipReason:
    """Fail each run whose process was not alive in two ticks in a row.

    After a single tick, the connection that shows that the process is alive may just have been interrupted.
    """
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
    description="Puts the segments that a failed run left undone into error.",
)
def failed_runs(context: dg.RunFailureSensorContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Set segments that the failed run did not finish to error. Segments that failed themselves keep their error."""
    why, run = foreseen(context.failure_event), context.dagster_run
    failed = _fail_segments(context, pipeline, f"failed before it reached this segment{f': {why}' if why else '.'}")
    # Each event takes some hundredths of a second, and a tick has a minute.
    for key in failed[:SEGMENTS_PER_RUN]:
        for asset in sorted(run.asset_selection or _SYNCED_ASSETS):
            show_as_failed(context.instance, run, asset, key)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.CANCELED,
    name="cancelled_runs",
    minimum_interval_seconds=10,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Puts the segments that a cancelled run left undone into error.",
)
def cancelled_runs(context: dg.RunStatusSensorContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Set segments that the cancelled run did not finish to error."""
    _fail_segments(context, pipeline, "was cancelled before it reached this segment.")


def _fail_segments(context: dg.RunStatusSensorContext, pipeline: Pipeline, what: str) -> Sequence[str]:
    """Set the segments that the run did not finish to error. Return their partition keys."""
    run = context.dagster_run
    if not _syncs(run):
        return []
    record = context.instance.get_run_record_by_id(run.run_id)
    begun = datetime.fromtimestamp(record.start_time, UTC) if record and record.start_time else None
    stopped = StoppedRun(
        run.run_id,
        list(partition_keys(context.instance, run)),
        begun or (record.create_timestamp if record else pipeline.now()),
        SyncConfig.of(run).requests,
        trigger_of(run),
    )
    reason = f"Run {run.run_id} {what} Ask for a sync again, or wait for the one at 05:00 UTC."
    return pipeline.fail_stopped(stopped, reason)


def _syncs(run: dg.DagsterRun) -> bool:
    """Return whether the run syncs segments: a run of the sync jobs, or of the assets in Dagster's UI."""
    return run.job_name in _SYNCING_JOBS or bool(_SYNCED_ASSETS & (run.asset_selection or set()))


SENSORS = [sync_requests, dead_runs, failed_runs, cancelled_runs]
