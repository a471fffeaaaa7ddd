"""The parallel connections of an account.

`ConnectionSlots` is the client's port. Slots shared by processes are in `database`.
"""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from threading import BoundedSemaphore
from typing import Protocol

from mailchimp_pipeline.sync import CONNECTIONS


class ConnectionSlots(Protocol):
    """The connections of one account."""

    def slot(self) -> AbstractContextManager[None]:
        """Hold one connection for the block, after waiting until one is free."""
        ...


class ThreadSlots:
    """Slots shared by the threads of this process only."""

    def __init__(self, connections: int = CONNECTIONS) -> None:
        self._free = BoundedSemaphore(connections)

    @contextmanager
    def slot(self) -> Generator[None]:
        """Hold one connection for the block, after waiting until one is free."""
        with self._free:
            yield
