"""Waiting for what will surely come, on a machine of any speed: only a defect takes as long as it may take.

What does not belong here: times that are promised; the tests of the promises say those.
"""

import time
from collections.abc import Callable
from typing import TypeVar

PATIENCE_SECONDS = 60.0
"""Who has waited so long waits for ever."""

START_SECONDS = 5 * PATIENCE_SECONDS
"""The same where a process is started, which imports half of what there is before it does anything."""

_LOOK_SECONDS = 0.02

_T = TypeVar("_T")


def eventually(is_so: Callable[[], _T], seconds: float = PATIENCE_SECONDS) -> _T:
    """Ask again and again, and return the first answer that is true; what asking raises is raised.

    Raises AssertionError where none is in so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        # Before it asks: who was kept from the processor for all that time has asked too seldom to give up.
        is_late = time.monotonic() > deadline
        answer = is_so()
        if answer:
            return answer
        if is_late:
            raise AssertionError(f"It is not so after {seconds:g} s: the last answer was {answer!r}.")
        time.sleep(_LOOK_SECONDS)
