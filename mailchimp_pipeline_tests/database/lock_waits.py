"""Lock waits as PostgreSQL reports them, so that a test continues once a session waits."""

from typing import Literal

from sqlalchemy import text

from mailchimp_pipeline.database.session import Database

_WAITING = text(
    "select exists (select from pg_locks join pg_database on pg_database.oid = pg_locks.database"
    " where datname = current_database() and locktype = :kind and not granted)"
)


def has_lock_waiter(database: Database, *, kind: Literal["advisory", "relation"]) -> bool:
    """Return whether a session waits for a lock in this database."""
    with database.everyone() as session:
        return bool(session.scalar(_WAITING, {"kind": kind}))
