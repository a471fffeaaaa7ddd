"""Requests that their run left open: it ended while nobody could write that down, or the database is an older copy.

Dagster tells a sensor of each run that failed once, whatever became of the telling. What does not belong here:
runs that are to be told of for the first time (`sensors`).
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from mailchimp_pipeline.defs.assets import REQUEST_TAG
from mailchimp_pipeline.runs.pipeline import Pipeline, StoppedRun, SyncRequest

_OVER = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

GRACE = timedelta(minutes=2)
"""How long whoever knows the reason has to tell it."""


def end_stranded(context: dg.SensorEvaluationContext, pipeline: Pipeline, requests: Sequence[SyncRequest]) -> None:
    """End those of the open requests that no run is going to end."""
    for request, run_id, begun in _stranded(context.instance, pipeline, requests):
        reason = (
            f"Run {run_id} is over, and how it ended could not be noted: the pipeline's database was away then, or was "
            "restored since. Ask for a sync again, or wait for the one at 05:00 UTC."
        )
        context.log.warning("Request %s was left open by run %s; it is ended now.", request.id, run_id)
        # By the run that the request knows of, where it does: that of a restored database may be another.
        stopped = StoppedRun(request.run_id or run_id, [request.partition_key], begun, request.id)
        pipeline.fail_stopped(stopped, reason)


def _stranded(
    instance: dg.DagsterInstance, pipeline: Pipeline, requests: Sequence[SyncRequest]
) -> Iterator[tuple[SyncRequest, str, datetime]]:
    """Yield each with its latest run and when that began."""
    if not requests:
        return
    # Two queries for all of them: few are ever looked at alone.
    over = instance.get_runs(dg.RunsFilter(statuses=_OVER, tags={REQUEST_TAG: [request.id for request in requests]}))
    have_run = {run.tags[REQUEST_TAG] for run in over}
    taken_up = [request.run_id for request in requests if request.run_id]
    known = set(instance.get_run_ids(dg.RunsFilter(run_ids=taken_up))) if taken_up else set[str]()
    for request in requests:
        if request.id in have_run:
            latest = _latest_run(instance, request)
            if _is_over(latest, pipeline.now()):
                yield request, latest.dagster_run.run_id, request.taken_up_at or latest.create_timestamp
        elif (
            request.run_id
            and request.taken_up_at
            and not (request.run_id in known or pipeline.is_alive(request.run_id))
        ):
            yield request, request.run_id, request.taken_up_at


def _latest_run(instance: dg.DagsterInstance, request: SyncRequest) -> dg.RunRecord:
    return instance.get_run_records(dg.RunsFilter(tags={REQUEST_TAG: request.id}), limit=1)[0]


def _is_over(latest: dg.RunRecord, now: datetime) -> bool:
    """Tell whether a request's latest run ended, and long ago, and Dagster is not about to try again."""
    run, ended = latest.dagster_run, latest.end_time
    if not run.is_finished or run.is_complete_and_waiting_to_retry or ended is None:
        return False
    return now - datetime.fromtimestamp(ended, UTC) >= GRACE
