"""The schedules, in UTC, and a function that returns the daily schedule's run requests at any other time."""

# The types of Dagster's decorators and job factories are partly unknown.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from mailchimp_pipeline.clock import DAILY_SYNC
from mailchimp_pipeline.defs.assets import SEGMENTS_PER_RUN
from mailchimp_pipeline.defs.jobs import freshness, scheduled_sync
from mailchimp_pipeline.defs.pipeline_resources import Pipeline
from mailchimp_pipeline.defs.sync_runs import scheduled_run, whole_organisations


@dg.schedule(
    name="mailchimp_scheduled_sync",
    job=scheduled_sync,
    cron_schedule=f"{DAILY_SYNC.minute} {DAILY_SYNC.hour} * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for a sync of every segment of every connected organisation.",
)
def daily_sync(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Request a sync of all segments, split into runs. All segments of an organisation are in the same run."""
    due = pipeline.due_partition_keys()
    if not due:
        yield dg.SkipReason("No organisation is connected, or none has a segment.")
        return
    tick = context.scheduled_execution_time.isoformat()
    for keys in whole_organisations(due, SEGMENTS_PER_RUN):
        yield scheduled_run(f"{tick} {keys[0]}", keys)


daily_freshness = dg.ScheduleDefinition(
    name="mailchimp_freshness",
    job=freshness,
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks whether the morning's sync reached every segment.",
)

SCHEDULES = [daily_sync, daily_freshness]


def opened_instance(dagster_home: str, postgres_url: str) -> dg.DagsterInstance:
    """Return the Dagster instance of `dagster_home`, with its storage at `postgres_url`."""
    storage = {"postgres": {"postgres_url": postgres_url}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(dagster_home, overrides={"storage": storage}))


def daily_sync_runs(pipeline: Pipeline, instance: dg.DagsterInstance) -> Sequence[dg.RunRequest]:
    """Return the run requests that `mailchimp_scheduled_sync` would make if it fired now."""
    resources = {"pipeline": pipeline}
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=pipeline.now(), resources=resources
    ) as context:
        return daily_sync.evaluate_tick(context).run_requests or []
