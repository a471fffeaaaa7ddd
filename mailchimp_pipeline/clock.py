"""The current time, and the type of a function that returns it.

Code that needs the time takes a `Clock`, so that tests can pass a fixed time.
"""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""A function that returns the current time with its time zone."""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
