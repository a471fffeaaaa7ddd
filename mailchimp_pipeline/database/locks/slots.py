"""The connections that Mailchimp allows an account, shared by all processes: a numbered lock for each.

What does not belong here: using them (`mailchimp`).
"""

import random
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from mailchimp_pipeline.database.locks.keys import slot_lock
from mailchimp_pipeline.database.session import Database, is_connection_lost
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.sync import CONNECTIONS

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_TAKE_FIRST_FREE = text(
    "select slot from unnest(cast(:slots as int[]), cast(:keys as bigint[])) as free (slot, key)"
    " where pg_try_advisory_lock(key) limit 1"
)
_GIVE_BACK = text("select pg_advisory_unlock(:key)")


class SlotsTaken(TransientError):
    """Every connection of the account stayed in use."""


class DatabaseConnectionSlots:
    """One account's connections, for the threads of this process among all processes; `close` it at the end.

    Threads queue here first; then a slot is looked for in PostgreSQL, on one connection for all of them.
    """

    def __init__(
        self, database: Database, account_id: str, *, slots: int = CONNECTIONS, wait_seconds: float = 120
    ) -> None:
        self._database = database
        self._keys = {slot: slot_lock(account_id, slot).key for slot in range(slots)}
        self._wait_seconds = wait_seconds
        self._free_here = threading.BoundedSemaphore(slots)
        self._one_at_a_time = threading.Lock()
        self._ours: set[int] = set()
        self._connected = ExitStack()
        self._connection: Connection | None = None

    @contextmanager
    def slot(self) -> Generator[None]:
        """Hold one connection, waiting until one is free. Raises `SlotsTaken`, or `DatabaseAway`."""
        deadline = time.monotonic() + self._wait_seconds
        if not self._free_here.acquire(timeout=self._wait_seconds):
            raise self._taken()
        try:
            slot = self._wait_for_one(deadline)
            try:
                yield
            finally:
                self._give_back(slot)
        finally:
            self._free_here.release()

    def close(self) -> None:
        """Give back whatever is held, and the connection to PostgreSQL."""
        with self._one_at_a_time:
            self._disconnect()

    def _wait_for_one(self, deadline: float) -> int:
        pause = _FIRST_PAUSE
        while (slot := self._try()) is None:
            if time.monotonic() > deadline:
                raise self._taken()
            # Chance keeps the waiting from asking in step, and from one of them always being first.
            time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - not for secrecy
            pause = min(2 * pause, _LONGEST_PAUSE)
        return slot

    def _try(self) -> int | None:
        with self._one_at_a_time, self._database.explained():
            try:
                return self._take(self._connect())
            except DBAPIError as error:
                if not is_connection_lost(error):
                    raise
            self._disconnect()
            return self._take(self._connect())

    def _take(self, connection: Connection) -> int | None:
        # A session is given a lock that it has already once more: our own slots must not be asked for.
        free = [slot for slot in self._keys if slot not in self._ours]
        random.shuffle(free)
        keys = [self._keys[slot] for slot in free]
        slot = connection.scalar(_TAKE_FIRST_FREE, {"slots": free, "keys": keys})
        if slot is not None:
            self._ours.add(slot)
        return slot

    def _give_back(self, slot: int) -> None:
        with self._one_at_a_time:
            self._ours.discard(slot)
            if self._connection is None:
                return
            try:
                self._connection.execute(_GIVE_BACK, {"key": self._keys[slot]})
            except DBAPIError as error:
                if not is_connection_lost(error):
                    raise
                self._disconnect()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._connected.enter_context(self._database.dedicated())
            # With the old connection our locks were lost, but the calls they stand for go on. Where somebody
            # was faster there are for a moment more calls than slots, which Mailchimp answers with 429.
            for slot in self._ours:
                self._connection.execute(text("select pg_try_advisory_lock(:key)"), {"key": self._keys[slot]})
        return self._connection

    def _disconnect(self) -> None:
        self._connection = None
        self._connected.close()

    def _taken(self) -> SlotsTaken:
        return SlotsTaken(
            f"All {len(self._keys)} connections that Mailchimp allows the account stayed in use for "
            f"{self._wait_seconds:g} s. Try again later."
        )
