"""Retries of a failed call, with growing random pauses, until a budget of seconds is spent.

What does not belong here: which errors are retried (`error_classification`).
"""

import random
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{1,9}")

_retried: ContextVar[list[str] | None] = ContextVar("retried", default=None)


@dataclass(frozen=True, slots=True)
class Retries:
    """The limits of retries, in seconds. `budget` covers a call's attempts and pauses, not the wait for a slot.

    A pause is at most `longest_pause`, or as long as Mailchimp requests, if the budget allows it.
    """

    budget: float = 300.0
    first_pause: float = 1.0
    longest_pause: float = 30.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    rng: random.Random = field(default_factory=random.Random)


class RetryBudget:
    """The remaining retry budget of one call."""

    def __init__(self, rule: Retries) -> None:
        self._rule = rule
        self._left = rule.budget
        self._next_pause = rule.first_pause

    @contextmanager
    def attempt(self) -> Generator[None]:
        """Subtract the duration of the block from the budget."""
        begun = self._rule.clock()
        try:
            yield
        finally:
            self._left -= self._rule.clock() - begun

    def rest(self, retry_after: float | None) -> bool:
        """Pause before the next attempt. Return False without a pause if the budget does not allow it."""
        # Random, so that calls that failed at the same moment are not repeated at the same moment.
        pause = max(self._next_pause * self._rule.rng.uniform(0.5, 1.0), retry_after or 0.0)
        if pause > self._left:
            return False
        self._next_pause = min(2 * self._next_pause, self._rule.longest_pause)
        self._left -= pause
        self._rule.sleep(pause)
        return True


@contextmanager
def counted_retries() -> Generator[list[str]]:
    """Yield a list that gets the error's class name for each retry in the block and in threads with its context."""
    retried: list[str] = []
    token = _retried.set(retried)
    try:
        yield retried
    finally:
        _retried.reset(token)


def count_retry(error: Exception) -> None:
    """Record that a call is retried after the error."""
    if (retried := _retried.get()) is not None:
        retried.append(type(error).__name__)


def date_of(headers: Mapping[str, str]) -> datetime | None:
    """Return the time of an answer from its Date header, None if it is missing or invalid."""
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header in either format, None if it is missing or invalid.

    A date is compared with the answer's Date header, because clocks differ.
    """
    text = headers.get("Retry-After", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        until = parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError, OverflowError):
        return None
    return max(0.0, until.total_seconds())
