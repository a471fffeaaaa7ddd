"""Locks between processes, implemented as PostgreSQL advisory locks. A lock ends with the process that holds it.

Locks need PostgreSQL sessions of their own, so a connection pooler must pool sessions, not transactions. A lock's key
is the start of a hash over its kind and the locked object. If two keys collide by chance (2^-64), one process waits
without need; nothing else goes wrong.

Mailchimp limits the simultaneous connections of each account, and all processes share this limit. Each allowed
connection is therefore a slot with a lock of its own. A process holds the lock of a slot while it uses the connection.
"""

import hashlib
import json
import random
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.session import Database, has_lock_timed_out, is_connection_lost
from mailchimp_pipeline.errors import Interrupted, PipelineError, TransientError
from mailchimp_pipeline.sync import CONNECTIONS


class _Kind(StrEnum):
    ACCOUNT = "account"
    AUDIENCE = "audience"
    CONNECTION = "connection"
    CONSENT = "consent"
    ERASED = "erased"
    ERASURE = "erasure"
    MIGRATION = "migration"
    RUN = "run"
    SLOT = "slot"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock, identified by its kind and the ids of the locked object."""

    kind: _Kind
    parts: tuple[str, ...] = ()

    @property
    def key(self) -> int:
        """The lock's key in PostgreSQL, a signed 64-bit integer."""
        name = json.dumps(["mailchimp-pipeline", self.kind, *self.parts])
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


MIGRATION_LOCK = Lock(_Kind.MIGRATION)
"""The lock that is held during a migration of the database."""


def account_lock(account_id: str) -> Lock:
    """Return the lock of a Mailchimp account, held while it is decided which organisation may use it or an audience."""
    return Lock(_Kind.ACCOUNT, (account_id,))


def audience_lock(organisation_id: str, list_id: str) -> Lock:
    """Return the lock of an audience, held during a sync."""
    return Lock(_Kind.AUDIENCE, (organisation_id, list_id))


def connection_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's connection, held while the connection changes."""
    return Lock(_Kind.CONNECTION, (organisation_id,))


def consent_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's consent statements, held while statements are recorded."""
    return Lock(_Kind.CONSENT, (organisation_id,))


def erased_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's erased contacts. Readers share it, an erasure holds it alone."""
    return Lock(_Kind.ERASED, (organisation_id,))


def erasure_lock(request_id: str) -> Lock:
    """Return the lock of an erasure request, held during an attempt to carry it out."""
    return Lock(_Kind.ERASURE, (request_id,))


def run_lock(run_id: str) -> Lock:
    """Return the lock of a Dagster run, held while the run's process is alive."""
    return Lock(_Kind.RUN, (run_id,))


def slot_lock(account_id: str, slot: int) -> Lock:
    """Return the lock of a slot: one of the simultaneous connections that Mailchimp allows an account."""
    return Lock(_Kind.SLOT, (account_id, str(slot)))


def webhooks_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's webhooks, held while they are registered at Mailchimp."""
    return Lock(_Kind.WEBHOOKS, (organisation_id,))


_LOOK_SECONDS = 5.0


class LockTaken(TransientError):
    """Another process holds the lock, and did not release it within the waiting time."""


class HoldLost(Interrupted):
    """A held lock was lost because its database connection ended. Another process may hold it now."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock that this process has acquired. Threads may share it. `what` names the locked object in error messages."""

    what: str
    _connection: Connection
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def is_kept(self) -> bool:
        """Return whether the lock is still held. It is lost if its connection ends, as when PostgreSQL restarts."""
        with self._one_at_a_time:
            # The driver would reconnect, but the new connection does not hold the lock.
            if self._connection.invalidated:
                return False
            try:
                self._connection.execute(text("select 1"))
            except OperationalError as error:
                if is_connection_lost(error):
                    return False
                raise
            return True

    def require(self) -> None:
        """Raise `HoldLost` if the lock is no longer held."""
        if not self.is_kept():
            raise HoldLost(
                f"PostgreSQL ended the connection that kept others from {self.what}, so no more was done there. "
                "What was sent is kept; sync again to go on, and look why PostgreSQL restarted if that was not planned."
            )


@contextmanager
def hold(database: Database, lock: Lock, *, what: str, wait_seconds: float = 0) -> Generator[Hold]:
    """Hold the lock during the block, on its own connection. `what` names the locked object in error messages.

    Raises `LockTaken` if the lock is not free within `wait_seconds`. With zero, it does not wait.
    """
    with database.dedicated() as connection:
        with database.translated_errors():
            acquired = _acquire(connection, lock, wait_seconds)
        if not acquired:
            raise LockTaken(f"Another process is working at {what}. Try again when it is done.")
        yield Hold(what, connection)


@contextmanager
def keep(database: Database, lock: Lock, *, what: str, look_seconds: float = _LOOK_SECONDS) -> Generator[None]:
    """Hold the lock during the block. A thread takes it again after a lost connection.

    The thread looks every `look_seconds`, so another process could take the lock meanwhile. Use this only for locks
    that show that a process is alive. Raises `LockTaken` if the lock is not free at the start.
    """
    with ExitStack() as connections:
        first, over = connections.enter_context(hold(database, lock, what=what)), threading.Event()

        def look_after() -> None:
            held = first
            while not over.wait(look_seconds):
                if held.is_kept():
                    continue
                connections.close()
                with suppress(PipelineError):  # PostgreSQL is unavailable, or has not yet released the old lock
                    held = connections.enter_context(hold(database, lock, what=what))

        looking = threading.Thread(target=look_after, name="lock-keeper", daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()


@contextmanager
def hold_audience(
    database: Database, organisation_id: str, list_id: str, *, wait_seconds: float = 0
) -> Generator[Hold]:
    """Hold the lock of an audience during the block. A sync holds it while its segment is `syncing`.

    Raises `LockTaken` if the lock is not free within `wait_seconds`.
    """
    what = f"audience {list_id} of organisation {organisation_id}"
    with hold(database, audience_lock(organisation_id, list_id), what=what, wait_seconds=wait_seconds) as held:
        yield held


def is_held(session: Session, lock: Lock) -> bool:
    """Return whether any process holds the lock. Does not take the lock."""
    # PostgreSQL shows a 64-bit key as two halves, marked with `objsubid = 1`.
    unsigned = lock.key % 2**64
    held = text(
        "select exists (select from pg_locks join pg_database on pg_database.oid = pg_locks.database"
        " where datname = current_database() and locktype = 'advisory' and granted"
        " and classid = cast(:high as oid) and objid = cast(:low as oid) and objsubid = 1)"
    )
    return bool(session.scalar(held, {"high": unsigned >> 32, "low": unsigned % 2**32}))


def lock_for_transaction(session: Session, lock: Lock) -> None:
    """Wait for the lock, and hold it until the transaction ends."""
    session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": lock.key})


def share_for_transaction(session: Session, lock: Lock) -> None:
    """Wait for the lock, and hold it in shared mode until the transaction ends."""
    session.execute(text("select pg_advisory_xact_lock_shared(:key)"), {"key": lock.key})


def try_for_transaction(session: Session, lock: Lock) -> bool:
    """Take the lock without waiting, and hold it until the transaction ends. Return False if it is not free."""
    return bool(session.scalar(text("select pg_try_advisory_xact_lock(:key)"), {"key": lock.key}))


def _acquire(connection: Connection, lock: Lock, wait_seconds: float) -> bool:
    if wait_seconds <= 0:
        return bool(connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": lock.key}))
    patience = {"patience": f"{max(1, round(wait_seconds * 1000))}ms"}
    connection.execute(text("select set_config('lock_timeout', :patience, false)"), patience)
    try:
        connection.execute(text("select pg_advisory_lock(:key)"), {"key": lock.key})
    except OperationalError as error:
        if has_lock_timed_out(error):
            return False
        raise
    return True


_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
_TAKE_FIRST_FREE = text(
    "select slot from unnest(cast(:slots as int[]), cast(:keys as bigint[])) as free (slot, key)"
    " where pg_try_advisory_lock(key) limit 1"
)
_GIVE_BACK = text("select pg_advisory_unlock(:key)")


class SlotsTaken(TransientError):
    """All slots of the Mailchimp account stayed in use for the whole waiting time."""


class DatabaseConnectionSlots:
    """Limits the simultaneous connections to one Mailchimp account, over all processes. `close` it at the end.

    A slot stands for one of the connections that Mailchimp allows the account. A thread that needs one waits first for
    other threads of its process, and then locks a free slot in PostgreSQL. All threads use one database connection for
    these locks.
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
        """Hold a slot during the block, after waiting for a free one.

        Raises `SlotsTaken` if no slot becomes free in time, and `DatabaseAway` if PostgreSQL is unavailable.
        """
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
        """Close the database connection, which releases all slots."""
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
        with self._one_at_a_time, self._database.translated_errors():
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
