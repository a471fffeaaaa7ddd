"""Migrations: the way of the tables from version to version, and which version a database has.

What does not belong here: the tables as they are now (`tables`), rows of people.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from mailchimp_pipeline.database.locks.held import lock_for_transaction
from mailchimp_pipeline.database.locks.keys import MIGRATION_LOCK
from mailchimp_pipeline.database.session import Database

VERSION_TABLE = "mailchimp_pipeline_revision"


def migrate(url: str) -> None:
    """Bring the database to the version that this code works with; does nothing where it has it.

    One transaction: what fails changes nothing. Processes that migrate at once do so one after the other.
    """
    with Database(url, pool_size=1) as database, database.everyone() as session:
        lock_for_transaction(session, MIGRATION_LOCK)
        command.upgrade(migrations(session.connection()), "head")


def current_revision(database: Database) -> str | None:
    """Return the version that the database has, None where it has never been migrated."""
    with database.everyone() as session:
        context = MigrationContext.configure(session.connection(), opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


def expected_revision() -> str:
    """Return the version that this code works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise LookupError("The package has no migrations: it is not installed whole.")
    return head


def migrations(connection: Connection) -> Config:
    """Return the configuration of alembic's commands on this connection, in its transaction."""
    config = _config()
    config.attributes["connection"] = connection
    return config


def _config() -> Config:
    config = Config()
    # To alembic a percent sign begins a variable; a path may well have one.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
