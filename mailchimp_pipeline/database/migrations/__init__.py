"""Migrations: the way of the tables from version to version, and which version a database has.

What does not belong here: the tables as they are now (`tables`), rows of people.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from mailchimp_pipeline.database.locks.keys import MIGRATION_LOCK
from mailchimp_pipeline.database.migrations.patience import wait_for_lock
from mailchimp_pipeline.database.session import Database, DatabaseNotMigrated

VERSION_TABLE = "mailchimp_pipeline_revision"


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database to the version that this code works with, or an earlier one; does nothing where it has it.

    May be run while the pipeline works. A revision is one transaction, or says that it can be run again where it
    failed. Processes that migrate at once do so one after the other. Raises `patience.TableInUse`.
    """
    with Database(url, pool_size=1) as database, database.unrestricted() as connection:
        # Held by the session: a revision may need several transactions.
        wait_for_lock(connection, MIGRATION_LOCK.key)
        try:
            command.upgrade(migrations(connection), revision)
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK.key})


def current_revision(database: Database) -> str | None:
    """Return the version that the database has, None where it has never been migrated."""
    with database.everyone() as session:
        context = MigrationContext.configure(session.connection(), opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


def require_tables(database: Database) -> None:
    """Raise `DatabaseNotMigrated` where the database lacks what this code works with.

    A version that this code does not know is a later one: each leaves to the code before it what that needs.
    """
    found, expected = current_revision(database), expected_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is None or (found != expected and found in known):
        raise DatabaseNotMigrated(
            f"The database is at revision {found}, this version works with {expected}. "
            "Run `mailchimp-pipeline migrate`."
        )


def expected_revision() -> str:
    """Return the version that this code works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise LookupError("The package has no migrations: it is not installed whole.")
    return head


def migrations(connection: Connection) -> Config:
    """Return the configuration of alembic's commands on this connection."""
    config = _config()
    config.attributes["connection"] = connection
    return config


def _config() -> Config:
    config = Config()
    # To alembic a percent sign begins a variable; a path may well have one.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
