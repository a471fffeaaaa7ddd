"""The time that a call of the API has for Mailchimp, in however many requests: a person waits for its answer.

What does not belong here: how long one request may take (`context.Patience`).
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.mailchimp import ConnectionSlots


class OutOfTime(TransientError):
    """The call's time was over before all was asked."""

    def __init__(self) -> None:
        super().__init__("Mailchimp answered too slowly for all of it to be asked in time. Try again later.")


@dataclass(frozen=True, slots=True)
class TimedSlots:
    """An account's connections, of which none is given from `end` on, by the clock. Raises `OutOfTime`."""

    slots: ConnectionSlots
    end: float
    clock: Callable[[], float] = time.monotonic

    @contextmanager
    def slot(self) -> Generator[None]:
        """Hold one connection, waiting until one is free."""
        if self.clock() > self.end:
            raise OutOfTime
        with self.slots.slot():
            yield
