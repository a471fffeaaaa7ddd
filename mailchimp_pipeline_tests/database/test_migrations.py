"""Migrations: up, down, and in agreement with the models."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from mailchimp_pipeline.database.migrations import (
    VERSION_TABLE,
    current_revision,
    expected_revision,
    migrate,
    migrations,
)
from mailchimp_pipeline.database.session import Database, DatabaseNotMigrated
from mailchimp_pipeline.database.tables import ConnectionRow, Row

_CONSTRAINTS = "select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint order by 1, 2"
_INDEXES = "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public' order by 1, 2"
_COLUMNS = """
select table_name, column_name, data_type, is_nullable, column_default, collation_name, is_identity
from information_schema.columns where table_schema = 'public' order by 1, 2
"""
_GRANTED = text("""
select count(*) from pg_shdepend join pg_database on pg_database.oid = dbid and datname = current_database()
where refclassid = 'pg_authid'::regclass and refobjid::regrole::text like 'mailchimp_pipeline%'
""")


def test_an_empty_database_comes_to_the_expected_revision(empty_database_url: str) -> None:
    with Database(empty_database_url) as database:
        before = current_revision(database)
        migrate(empty_database_url)
        migrate(empty_database_url)
        assert (before, current_revision(database)) == (None, expected_revision())


def test_all_migrations_can_be_taken_back(empty_database_url: str) -> None:
    migrate(empty_database_url)
    with Database(empty_database_url) as database, database.unrestricted() as connection:
        command.downgrade(migrations(connection), "base")
        left = inspect(connection).get_table_names()
        functions = connection.scalar(text("select count(*) from pg_proc where pronamespace = 'public'::regnamespace"))
        granted = connection.scalar(_GRANTED)
    assert (left, functions, granted) == ([VERSION_TABLE], 0, 0)
    migrate(empty_database_url)


def test_alembic_finds_no_difference_between_migrations_and_models(database: Database) -> None:
    with database.everyone() as session:
        context = MigrationContext.configure(session.connection(), opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, Row.metadata) == []


@pytest.mark.parametrize("query", [_CONSTRAINTS, _INDEXES, _COLUMNS], ids=["constraints", "indexes", "columns"])
def test_migrations_make_to_the_letter_what_the_models_say(
    database: Database, empty_database_url: str, query: str
) -> None:
    with Database(empty_database_url) as by_models, by_models.unrestricted() as connection:
        Row.metadata.create_all(connection)
        said = connection.execute(text(query)).all()
    with database.everyone() as session:
        made = session.execute(text(query)).all()
    assert [row for row in made if row[0] != VERSION_TABLE] == said


def test_processes_that_migrate_at_once_do_so_one_after_the_other(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, [empty_database_url] * 4))
    with Database(empty_database_url) as database:
        assert current_revision(database) == expected_revision()


def test_the_working_directory_does_not_matter(empty_database_url: str, tmp_path: Path) -> None:
    code = "import sys; from mailchimp_pipeline.database.migrations import migrate; migrate(sys.argv[1])"
    root = Path(__file__).parents[2]
    environment = {"PYTHONPATH": str(root)}
    subprocess.run([sys.executable, "-c", code, empty_database_url], cwd=tmp_path, env=environment, check=True)
    with Database(empty_database_url) as database:
        assert current_revision(database) == expected_revision()


def test_a_database_without_tables_says_to_migrate(empty_database_url: str) -> None:
    with (
        Database(empty_database_url) as database,
        pytest.raises(DatabaseNotMigrated, match="mailchimp-pipeline migrate"),
        database.everyone() as session,
    ):
        session.execute(select(ConnectionRow))
