"""Compute the runs of the daily schedule at any time.

What does not belong here: the schedule (`schedules`), starting the runs.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.instance.ref import InstanceRef

from mailchimp_pipeline.defs.pipeline_resources import Pipeline
from mailchimp_pipeline.defs.schedules import daily_sync


def opened_instance(dagster_home: str, postgres_url: str) -> dg.DagsterInstance:
    """Return the Dagster instance of `dagster_home`, with its storage at `postgres_url`."""
    storage = {"postgres": {"postgres_url": postgres_url}}
    return dg.DagsterInstance.from_ref(InstanceRef.from_dir(dagster_home, overrides={"storage": storage}))


def daily_sync_runs(pipeline: Pipeline, instance: dg.DagsterInstance) -> Sequence[dg.RunRequest]:
    """Return the run requests of `mailchimp_scheduled_sync` for a tick now."""
    resources = {"pipeline": pipeline}
    with dg.build_schedule_context(
        instance=instance, scheduled_execution_time=pipeline.now(), resources=resources
    ) as context:
        return daily_sync.evaluate_tick(context).run_requests or []
