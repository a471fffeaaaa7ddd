"""Migrations of the tables, and the revision of a database.

What does not belong here: the current tables (`tables`), data of contacts.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from mailchimp_pipeline.database.locks import MIGRATION_LOCK
from mailchimp_pipeline.database.migrations.patience import wait_for_lock
from mailchimp_pipeline.database.session import Database, DatabaseNotMigrated

VERSION_TABLE = "mailchimp_pipeline_revision"


def migrate(url: str, revision: str = "head") -> None:
    """Migrate the database to `revision`, by default the newest. Does nothing if the database has it already.

    It can run while the pipeline works, and again after a failure. Migrations that are started at the same time run one
    after the other. Raises `patience.TableInUse` if other transactions do not let go of a table.
    """
    with Database(url, pool_size=1) as database, database.unrestricted() as connection:
        # A session lock, because a revision may need several transactions.
        wait_for_lock(connection, MIGRATION_LOCK.key)
        try:
            command.upgrade(migrations(connection), revision)
        finally:
            connection.rollback()
            connection.execute(text("select pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK.key})


def current_revision(database: Database) -> str | None:
    """Return the database's revision, None if it was never migrated."""
    with database.everyone() as session:
        context = MigrationContext.configure(session.connection(), opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


def require_tables(database: Database) -> None:
    """Raise `DatabaseNotMigrated` if the database's revision is too old for this code.

    An unknown revision is a later one, which keeps what the code before it needs.
    """
    found, expected = current_revision(database), expected_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is None or (found != expected and found in known):
        raise DatabaseNotMigrated(
            f"The database is at revision {found}, this version works with {expected}. "
            "Run `mailchimp-pipeline migrate`."
        )


def expected_revision() -> str:
    """Return the revision that this code needs."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise LookupError("The package has no migrations: it is not installed whole.")
    return head


def migrations(connection: Connection) -> Config:
    """Return alembic's configuration for this connection."""
    config = _config()
    config.attributes["connection"] = connection
    return config


def _config() -> Config:
    config = Config()
    # Alembic reads a percent sign as the start of a variable.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
