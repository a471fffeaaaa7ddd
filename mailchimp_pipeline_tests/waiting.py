"""Waiting for a condition that is certain to become true. The time-outs are long, since machines are slow."""

import time
from collections.abc import Callable
from typing import TypeVar

TIMEOUT_SECONDS = 60.0
"""A wait of this duration means a defect."""

START_TIMEOUT_SECONDS = 5 * TIMEOUT_SECONDS
"""The time-out where a process starts, which imports much first."""

_POLL_SECONDS = 0.02

_T = TypeVar("_T")


def eventually(condition: Callable[[], _T], seconds: float = TIMEOUT_SECONDS) -> _T:
    """Poll the condition and return its first true value. Errors of the condition are raised.

    Raises AssertionError after the time-out.
    """
    deadline = time.monotonic() + seconds
    while True:
        # Read the clock first: a process without CPU time gets one more attempt.
        is_last_attempt = time.monotonic() > deadline
        value = condition()
        if value:
            return value
        if is_last_attempt:
            raise AssertionError(f"The condition is not true after {seconds:g} s. Its last value was {value!r}.")
        time.sleep(_POLL_SECONDS)
