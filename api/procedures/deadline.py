"""The deadline of a call for all its requests to Mailchimp.

What does not belong here: the time-outs of one request (`context.CallBudget`).
"""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.mailchimp import ConnectionSlots


class OutOfTime(TransientError):
    """The deadline of the call has passed before its last request to Mailchimp."""

    def __init__(self) -> None:
        super().__init__("Mailchimp answered too slowly for all of it to be asked in time. Try again later.")


@dataclass(frozen=True, slots=True)
class TimedSlots:
    """The connection slots of an account until `end`, a time of the clock."""

    slots: ConnectionSlots
    end: float
    clock: Callable[[], float] = time.monotonic

    @contextmanager
    def slot(self) -> Generator[None]:
        """Hold one connection, waiting until one is free. Raises `OutOfTime` after the end."""
        if self.clock() > self.end:
            raise OutOfTime
        with self.slots.slot():
            yield
