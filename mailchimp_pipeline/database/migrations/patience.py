"""Changing a table while others work with it: asked for briefly, again and again, so that nobody waits long behind.

What does not belong here: what is changed (the revisions).
"""

import random
import time

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from mailchimp_pipeline.database.session import has_lock_timed_out
from mailchimp_pipeline.errors import TransientError

BRIEFLY_MS = 500
"""How long a table is asked for at a time. Who comes after waits too, so it is less than PostgreSQL waits before it
ends somebody's transaction as part of a deadlock (a second)."""

_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0


class TableInUse(TransientError):
    """Transactions that do not end kept a migration from changing a table."""


def run_briefly(connection: Connection, statements: str, *, what: str, seconds: float = _PATIENCE_SECONDS) -> None:
    """Run the statements as one, on a connection in autocommit, as soon as the tables they lock are free.

    Raises `TableInUse` where they are not within so many seconds; nothing of the statements is done then.
    """
    deadline = time.monotonic() + seconds
    together = f"select set_config('lock_timeout', '{BRIEFLY_MS}ms', true); {statements}"
    while True:
        try:
            connection.execution_options(no_parameters=True).exec_driver_sql(together)
        except OperationalError as error:
            if not has_lock_timed_out(error):
                raise
        else:
            return
        if time.monotonic() > deadline:
            raise TableInUse(
                f"Others kept {what} in use for {seconds:g} s, so it was not changed. Look for transactions that do "
                "not end (the oldest `xact_start` in pg_stat_activity), then run "
                "`mailchimp-pipeline migrate` again: it goes on where it stopped."
            )
        time.sleep(random.uniform(_PAUSE_SECONDS / 2, _PAUSE_SECONDS))  # noqa: S311 - not for secrecy


def wait_for_lock(connection: Connection, key: int) -> None:
    """Take an advisory lock for the connection's session, asking again and again.

    A statement that waits for it would have a snapshot, and `create index concurrently` of its holder would wait for
    that in turn.
    """
    while not connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": key}):
        connection.commit()
        time.sleep(random.uniform(0.05, 0.15))  # noqa: S311 - not for secrecy
    connection.commit()
