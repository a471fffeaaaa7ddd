"""What runs by the clock, in UTC."""

# Dagster's decorators and makers of jobs have types with unknown parts.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator

import dagster as dg

from mailchimp_pipeline.defs.assets import SEGMENTS_A_RUN
from mailchimp_pipeline.defs.jobs import freshness, scheduled_sync
from mailchimp_pipeline.defs.partitions import SEGMENTS, contiguous_ranges, range_tags
from mailchimp_pipeline.runs.pipeline import Pipeline


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
    """Ask for runs of as many segments as a run takes, each with segments that stand next to each other."""
    due = [segment.partition_key for segment in pipeline.due_segments()]
    if not due:
        yield dg.SkipReason("No organisation is connected, or none has a segment.")
        return
    context.instance.add_dynamic_partitions(SEGMENTS.name or "", due)
    keys = context.instance.get_dynamic_partitions(SEGMENTS.name or "")
    tick = context.scheduled_execution_time.isoformat()
    for first, last in contiguous_ranges(keys, due, SEGMENTS_A_RUN):
        yield dg.RunRequest(run_key=f"{tick} {first}", tags=range_tags(first, last))


daily_freshness = dg.ScheduleDefinition(
    name="mailchimp_freshness",
    job=freshness,
    cron_schedule="0 6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Looks whether the morning's sync reached every segment.",
)

SCHEDULES = [daily_sync, daily_freshness]
