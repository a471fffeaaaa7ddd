"""The connections that Mailchimp allows an account, shared by all processes: one lock for each.

What does not belong here: using the connections (`mailchimp`).
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
    """All connections of the account stayed in use for the whole waiting time."""


class DatabaseConnectionSlots:
    """Slots for the connections of one Mailchimp account, for the threads of this process. `close` it at the end.

    Threads wait in this process first. Then a free slot is locked in PostgreSQL, on one database connection for all
    threads.
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
        """Hold one slot for the block, after waiting until one is free. Raises `SlotsTaken` or `DatabaseAway`."""
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
        """Release all slots and the database connection."""
        with self._one_at_a_time:
            self._disconnect()

    def _wait_for_one(self, deadline: float) -> int:
        pause = _FIRST_PAUSE
        while (slot := self._try()) is None:
            if time.monotonic() > deadline:
                raise self._taken()
            # Random pauses keep waiting processes from trying at the same moments.
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
        # PostgreSQL grants a session its own lock again, so this process's slots are left out.
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
            # The locks were lost with the former connection, but their calls continue. If another process took a slot
            # meanwhile, Mailchimp answers surplus calls with 429 for a moment.
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
