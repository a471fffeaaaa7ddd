"""Repeat transactions that a restart or failover of PostgreSQL interrupted.

What does not belong here: retries of calls to Mailchimp (`mailchimp.retries`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TypeVar

from mailchimp_pipeline.errors import Interrupted

_T = TypeVar("_T")

PAUSES = (1.0, 4.0, 15.0, 40.0)
"""Seconds before each repetition. A restart of PostgreSQL takes less, a failover about as long."""


@dataclass(frozen=True, slots=True)
class DatabaseRetry:
    """Repeats interrupted steps. Threads may share it: after one has waited in vain, the others do not wait."""

    pauses: Sequence[float] = PAUSES
    over: Event = field(default_factory=Event)
    """Set it to end all waiting."""
    _in_vain: Event = field(default_factory=Event)

    def do(self, step: Callable[[], _T]) -> _T:
        """Return the step's result. Repeat the step after each pause while it raises `errors.Interrupted`.

        Raises the last `Interrupted` after the last pause, and other errors at once.
        """
        for pause in () if self._in_vain.is_set() else self.pauses:
            try:
                return step()
            except Interrupted:
                if self.over.wait(pause):
                    raise
        try:
            return step()
        except Interrupted:
            self._in_vain.set()
            raise
