"""The daily schedule, fired by hand: what its tick would ask for now.

What does not belong here: the schedule itself (`schedules`), starting the runs.
"""

from collections.abc import Mapping

import dagster as dg

from mailchimp_pipeline.defs.schedules import daily_sync
from mailchimp_pipeline.runs.pipeline import Pipeline


def daily_sync_runs(pipeline: Pipeline, dagster_home: str) -> list[Mapping[str, str]]:
    """Return the tags of the runs of `mailchimp_scheduled_sync` that a tick at this moment asks for."""
    with dg.DagsterInstance.from_config(dagster_home) as instance:
        resources = {"pipeline": pipeline}
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=pipeline.now(), resources=resources
        ) as context:
            return [request.tags for request in daily_sync.evaluate_tick(context).run_requests or []]
