"""The runs of the daily schedule, asked for at any time.

What does not belong here: the schedule itself (`schedules`), starting the runs.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from mailchimp_pipeline.defs.pipeline_resources import Pipeline
from mailchimp_pipeline.defs.schedules import daily_sync


def opened_instance(dagster_home: str, postgres_url: str) -> dg.DagsterInstance:
    """Return the instance that is configured there, on this storage and none that the environment names."""
    storage = {"postgres": {"postgres_url": postgres_url}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(dagster_home, overrides={"storage": storage}))


def daily_sync_runs(pipeline: Pipeline, instance: dg.DagsterInstance) -> Sequence[dg.RunRequest]:
    """Return the runs of `mailchimp_scheduled_sync` that a tick at this moment asks for."""
    resources = {"pipeline": pipeline}
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=pipeline.now(), resources=resources
    ) as context:
        return daily_sync.evaluate_tick(context).run_requests or []
