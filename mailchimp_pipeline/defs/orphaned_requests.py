"""Sync requests that need a run, and orphaned requests, whose run ended without ending them.

Dagster reports a failed run to a sensor once, even if the pipeline's database is unavailable at that moment. After a
restore, requests may be open again that were served long ago. What does not belong here: ending the requests of a
failed run (`sensors`).
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mailchimp_pipeline.defs.jobs import segment_sync
from mailchimp_pipeline.defs.pipeline_resources import Pipeline
from mailchimp_pipeline.defs.sync_runs import ORGANISATION_TAG, UNFINISHED, SyncConfig, waiting_for_retry
from mailchimp_pipeline.services.stopped_run import StoppedRun

if TYPE_CHECKING:
    from mailchimp_pipeline.database.sync_request_store import SyncRequest

GRACE = timedelta(minutes=2)
"""Time after the end of a run in which the sensor of failed runs ends the run's requests with the reason."""


def requests_to_serve(context: dg.SensorEvaluationContext, pipeline: Pipeline) -> "Sequence[SyncRequest]":
    """Fail the orphaned requests. Return the requests that need a run, oldest first.

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
    """Yield the requests that their run left open, with the run."""
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
            yield StoppedRun(run_id, [request.partition_key], begun or pipeline.now(), [request.id]), request


def _is_over(record: dg.RunRecord, now: datetime) -> bool:
    """Return whether the run ended longer than `GRACE` ago."""
    if not record.dagster_run.is_finished or record.end_time is None:
        return False
    return now - datetime.fromtimestamp(record.end_time, UTC) >= GRACE
