"""Waiting for a condition that is certain to become true. The time-outs are long, since machines are slow."""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 60.0
"""A wait of this duration means a defect."""

START_SECONDS = 5 * PATIENCE_SECONDS
"""The time-out where a process starts, which imports much first."""

_LOOK_SECONDS = 0.02

_T = TypeVar("_T")


def eventually(is_so: Callable[[], _T], seconds: float = PATIENCE_SECONDS) -> _T:
    """Poll the condition and return its first true value. Errors of the condition are raised.

    Raises AssertionError after the time-out.
    """
    deadline = time.monotonic() + seconds
    while True:
        # Read the clock first: a process without CPU time gets one more attempt.
        is_late = time.monotonic() > deadline
        answer = is_so()
        if answer:
            return answer
        if is_late:
            raise AssertionError(f"It is not so after {seconds:g} s: the last answer was {answer!r}.")
        time.sleep(_LOOK_SECONDS)
