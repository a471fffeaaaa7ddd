"""The connections an account may use at once, and how they are shared.

`ConnectionSlots` is what a client needs; slots over many processes belong to `database`.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from threading import BoundedSemaphore
from typing import Protocol

from mailchimp_pipeline.sync import CONNECTIONS


class ConnectionSlots(Protocol):
    """The connections of one account."""

    def slot(self) -> AbstractContextManager[None]:
        """Hold one connection, waiting until one is free."""
        ...


class ThreadSlots:
    """Slots shared by the threads of this process only: for one that uses the account alone."""

    def __init__(self, connections: int = CONNECTIONS) -> None:
        self._free = BoundedSemaphore(connections)

    @contextmanager
    def slot(self) -> Generator[None]:
        """Hold one connection, waiting until one is free: no request lasts longer than its time-outs."""
        with self._free:
            yield
