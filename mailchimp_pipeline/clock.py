"""The current time, and the type of a function that returns it.

Code that needs the time takes a `Clock`, so that tests can pass a fixed time.
"""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta

Clock = Callable[[], datetime]
"""A function that returns the current time with its time zone."""


DAILY_SYNC = time(5, tzinfo=UTC)
"""When the schedule syncs all segments."""


def last_daily_sync(now: datetime) -> datetime:
    """Return the latest time of the daily sync that is not after `now`."""
    today = datetime.combine(now.astimezone(UTC), DAILY_SYNC)
    return today if today <= now else today - timedelta(days=1)


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
