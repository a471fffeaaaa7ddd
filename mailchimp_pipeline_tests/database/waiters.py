"""Who waits for a lock of PostgreSQL, as it tells by itself: a test goes on once somebody does."""

from typing import Literal

from sqlalchemy import text

from mailchimp_pipeline.database.session import Database

_WAITING = text(
    "select exists (select from pg_locks join pg_database on pg_database.oid = pg_locks.database"
    " where datname = current_database() and locktype = :kind and not granted)"
)


def somebody_waits(database: Database, *, kind: Literal["advisory", "relation"]) -> bool:
    """Whether a session waits for a lock of this database."""
    with database.everyone() as session:
        return bool(session.scalar(_WAITING, {"kind": kind}))
