"""Change tables in use. Short, repeated attempts to lock keep other transactions from waiting long."""

import random
import time

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from mailchimp_pipeline.database.session import has_lock_timed_out
from mailchimp_pipeline.errors import TransientError

BRIEFLY_MS = 500
"""Duration of one attempt to lock. Other transactions wait behind it, so it is shorter than the second after which
PostgreSQL ends a transaction because of a deadlock."""

_PAUSE_SECONDS = 1.0
_PATIENCE_SECONDS = 600.0


class TableInUse(TransientError):
    """Long transactions kept a migration from changing a table."""


def run_briefly(connection: Connection, statements: str, *, what: str, seconds: float = _PATIENCE_SECONDS) -> None:
    """Run the statements as one, once the tables that they lock are free. The connection must be in autocommit mode.

    Raises `TableInUse` if the tables are not free within `seconds`. Nothing is changed then.
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
    """Take an advisory lock for the connection's session, with repeated attempts.

    A waiting statement would hold a snapshot, which `create index concurrently` of the lock's holder would wait for.
    """
    while not connection.scalar(text("select pg_try_advisory_lock(:key)"), {"key": key}):
        connection.commit()
        time.sleep(random.uniform(0.05, 0.15))  # noqa: S311 - not for secrecy
    connection.commit()
