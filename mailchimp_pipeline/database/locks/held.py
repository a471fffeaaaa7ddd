"""Take locks, and check whether a lock is taken.

What does not belong here: an account's slots (`slots`), which are many locks on one connection.
"""

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.locks.keys import Lock, audience_lock
from mailchimp_pipeline.database.session import Database, has_lock_timed_out, is_connection_lost
from mailchimp_pipeline.errors import Interrupted, PipelineError, TransientError

_LOOK_SECONDS = 5.0


class LockTaken(TransientError):
    """Another process holds the lock, and did not release it in time."""


class HoldLost(Interrupted):
    """A lock was lost with its database connection. Another process may have it now."""


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock that this process holds. Threads may share it. `what` names the locked object in error messages."""

    what: str
    _connection: Connection
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def is_kept(self) -> bool:
        """Return whether the lock is still held. It is lost with the connection, for example if PostgreSQL restarts."""
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
    """Hold the lock for the block, on its own connection. `what` names the locked object in error messages.

    Raises `LockTaken` if the lock is not free within `wait_seconds`. Zero tries once.
    """
    with database.dedicated() as connection:
        with database.explained():
            acquired = _acquire(connection, lock, wait_seconds)
        if not acquired:
            raise LockTaken(f"Another process is working at {what}. Try again when it is done.")
        yield Hold(what, connection)


@contextmanager
def keep(database: Database, lock: Lock, *, what: str, look_seconds: float = _LOOK_SECONDS) -> Generator[None]:
    """Hold the lock for the block, and take it again after a lost connection. Raises `LockTaken`.

    Only for locks that show that a process is alive: for a moment after a lost connection, another process can take it.
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
    """Hold the lock of an audience for the block. A sync holds it for as long as the segment is `syncing`.

    Raises `LockTaken` if the lock is not free within `wait_seconds`.
    """
    what = f"audience {list_id} of organisation {organisation_id}"
    with hold(database, audience_lock(organisation_id, list_id), what=what, wait_seconds=wait_seconds) as held:
        yield held


def is_held(session: Session, lock: Lock) -> bool:
    """Return whether any session of the database holds the lock. Does not take the lock."""
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
    """Wait for the lock, and share it with other sharing transactions until the transaction ends."""
    session.execute(text("select pg_advisory_xact_lock_shared(:key)"), {"key": lock.key})


def try_for_transaction(session: Session, lock: Lock) -> bool:
    """Take the lock until the transaction ends, if it is free. Return whether it was."""
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
