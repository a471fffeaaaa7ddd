"""The code location as it is, and its daily schedule once more, due every minute: nobody waits for 05:00 UTC.

What does not belong here: anything else. What the tick asks for, the jobs and the sensors are the project's.
"""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportPrivateUsage=false

from typing import Any

import dagster as dg

from mailchimp_pipeline import definitions
from mailchimp_pipeline.defs.jobs import scheduled_sync
from mailchimp_pipeline.defs.schedules import daily_sync

_tick: Any = daily_sync._execution_fn  # noqa: SLF001 - the function itself, without 05:00 UTC

every_minute = dg.schedule(
    name="every_minute",
    job=scheduled_sync,
    cron_schedule="* * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)(_tick.decorated_fn)

defs = dg.Definitions.merge(definitions.defs, dg.Definitions(schedules=[every_minute]))
