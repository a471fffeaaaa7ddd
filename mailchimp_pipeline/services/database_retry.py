"""Retries of transactions that a restart or failover of PostgreSQL interrupted.

What does not belong here: calls to Mailchimp, which have a budget of their own (`mailchimp.retries`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TypeVar

from mailchimp_pipeline.errors import Interrupted

_T = TypeVar("_T")

PAUSES = (1.0, 4.0, 15.0, 40.0)
"""Seconds before each repetition: a restart of PostgreSQL takes less, a failover about as long."""


@dataclass(frozen=True, slots=True)
class DatabaseRetry:
    """How long a run waits for its database. Threads may share it: once one has waited in vain, the others do not."""

    pauses: Sequence[float] = PAUSES
    over: Event = field(default_factory=Event)
    """Ends all waiting."""
    _in_vain: Event = field(default_factory=Event)

    def do(self, step: Callable[[], _T]) -> _T:
        """Return the step's result; repeat it after each pause while it raises `errors.Interrupted`."""
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
