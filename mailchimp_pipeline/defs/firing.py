"""The daily schedule, fired by hand: what its tick would ask for now, asked for through Dagster's own command line.

Used by the demo. What does not belong here: the schedule itself (`schedules`).
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence

import dagster as dg

from mailchimp_pipeline.defs.schedules import daily_sync
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.runs.pipeline import Pipeline


class NotLaunched(PipelineError):
    """Dagster refused to launch a run."""


def fire_daily_sync(pipeline: Pipeline, launch: Sequence[str], environment: Mapping[str, str]) -> int:
    """Evaluate the schedule and launch its runs; return how many.

    `launch` is `dagster job launch` with the arguments that name the workspace. Raises `NotLaunched`.
    """
    with dg.DagsterInstance.from_config(environment["DAGSTER_HOME"]) as instance:
        context = dg.build_schedule_context(
            instance=instance, scheduled_execution_time=pipeline.now(), resources={"pipeline": pipeline}
        )
        requests = daily_sync.evaluate_tick(context).run_requests or []
    for request in requests:
        command = [*launch, "-j", "mailchimp_scheduled_sync", "--tags", json.dumps(dict(request.tags))]
        done = subprocess.run(  # noqa: S603 - our own command, no shell
            command, env=os.environ | environment, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise NotLaunched(f"Dagster did not launch the sync:\n{done.stderr[-2000:]}")
    return len(requests)
