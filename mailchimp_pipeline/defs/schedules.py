"""The schedules, in UTC."""

# The types of Dagster's decorators and job factories are partly unknown.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator

import dagster as dg

from mailchimp_pipeline.defs.assets import SEGMENTS_PER_RUN
from mailchimp_pipeline.defs.jobs import freshness, scheduled_sync
from mailchimp_pipeline.defs.partitions import whole_organisations
from mailchimp_pipeline.defs.pipeline_resources import Pipeline
from mailchimp_pipeline.defs.sync_runs import scheduled_run


@dg.schedule(
    name="mailchimp_scheduled_sync",
    job=scheduled_sync,
    cron_schedule="0 5 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Asks for a sync of every segment of every connected organisation.",
)
def daily_sync(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Split the due segments into runs of whole organisations."""
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
