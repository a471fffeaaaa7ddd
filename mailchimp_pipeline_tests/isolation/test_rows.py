"""Row-level security: a session of one organisation finds no rows of another, in any table, with any SQL.

The tables are those of the models: a new table without a policy fails here.
"""

from collections.abc import Generator
from contextlib import nullcontext

import pytest
from sqlalchemy import Table, text

from mailchimp_pipeline.database.session import Database, StatementRefused
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.isolation.tenants import ACME, GLOBEX, ROLES, TABLES, fill, filled

# ruff: noqa: S608 - names of our tables

REFUSED = r"row-level security|permission denied for table (audit_log|consent_statements|segment_syncs)"

every_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: str(table.name))


@pytest.fixture(scope="module")
def shared(postgres_server: PostgresServer) -> Generator[Database]:
    """Return a database with rows of two organisations in every table. The tests change nothing."""
    name = postgres_server.create("migrated")
    with Database(postgres_server.url_of(name)) as database:
        with database.unrestricted() as connection, connection.begin():
            fill(connection)
        yield database
    postgres_server.drop(name)


def test_every_table_with_an_organisation_is_of_the_models(shared: Database) -> None:
    query = "select table_name from information_schema.columns where table_schema = 'public'"
    with shared.unrestricted() as connection:
        there = set(connection.scalars(text(f"{query} and column_name = 'organisation_id'")))
    assert there == {table.name for table in TABLES}


@every_table
def test_raw_sql_finds_the_rows_of_the_own_organisation_alone(shared: Database, table: Table) -> None:
    with shared.organisation(ACME) as session:
        assert session.scalars(text(f"select organisation_id from {table.name}")).all() == [ACME]
        assert session.scalar(text(f"select count(*) from {table.name} where organisation_id = '{GLOBEX}'")) == 0


@every_table
@pytest.mark.parametrize("change", ["update {} set organisation_id = organisation_id", "delete from {}"])
def test_no_row_of_another_is_changed(shared: Database, table: Table, change: str) -> None:
    statement = f"{change.format(table.name)} where organisation_id = '{GLOBEX}' returning 1"
    # No session may change some tables; an erasure deletes statements, and retention deletes syncs.
    is_update = change.startswith("update")
    written_once = table.name == "audit_log" or (table.name in {"consent_statements", "segment_syncs"} and is_update)
    refusal = pytest.raises(StatementRefused, match="permission denied") if written_once else nullcontext()
    with refusal, shared.organisation(ACME) as session:
        assert session.execute(text(statement)).all() == []


@every_table
def test_no_row_is_written_for_another_or_handed_over(shared: Database, table: Table) -> None:
    for statement in (filled(table, GLOBEX), f"update {table.name} set organisation_id = '{GLOBEX}'"):
        refusal = pytest.raises(StatementRefused, match=REFUSED)
        with refusal, shared.organisation(ACME) as session:
            session.execute(text(statement))


@every_table
@pytest.mark.parametrize("setting", [None, ""], ids=["unset", "empty"])
def test_a_session_without_an_organisation_finds_no_rows(shared: Database, table: Table, setting: str | None) -> None:
    with shared.unrestricted() as connection:
        connection.execute(text(f"set local role {ROLES[0]}"))
        if setting is not None:
            connection.execute(text("select set_config('mailchimp_pipeline.organisation_id', '', true)"))
        assert connection.scalar(text(f"select count(*) from {table.name}")) == 0


@every_table
def test_the_cross_organisation_role_reads_all_rows_and_writes_none(shared: Database, table: Table) -> None:
    with shared.everyone() as session:
        assert set(session.scalars(text(f"select organisation_id from {table.name}"))) == {ACME, GLOBEX}
    for statement in (
        filled(table, ACME),
        f"delete from {table.name}",
        f"update {table.name} set organisation_id = ''",
    ):
        with pytest.raises(StatementRefused, match="permission denied"), shared.everyone() as session:
            session.execute(text(statement))


@every_table
def test_the_policies_are_those_two_and_bind_the_roles(shared: Database, table: Table) -> None:
    query = "select policyname, cmd, array_to_string(roles, ',') from pg_policies where tablename = :table order by 1"
    is_on = "select relrowsecurity from pg_class where oid = to_regclass(:table)"
    with shared.unrestricted() as connection:
        policies = connection.execute(text(query), {"table": table.name}).all()
        assert connection.scalar(text(is_on), {"table": table.name}) is True
    expected = [("every_organisation", "SELECT", ROLES[1]), ("own_organisation", "ALL", ROLES[0])]
    assert list(map(tuple, policies)) == expected
