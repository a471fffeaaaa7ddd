"""Creating the roles, with and without the privilege to do so. Role names are global, so the tests use other names."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import Connection, make_url, text

from mailchimp_pipeline.database import migrations
from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.database.session import Database, StatementRefused
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.isolation.tenants import a_login

_SCRIPT = Path(migrations.__file__).parent / "versions" / "0002_row_level_security.sql"
_BLOCKS = 2
"""The first two blocks create and grant the roles."""


def roles_named(prefix: str) -> str:
    blocks = _SCRIPT.read_text().split("\n$$;\n")[:_BLOCKS]
    return "\n$$;\n".join([*blocks, ""]).replace("mailchimp_pipeline_", prefix)


@contextmanager
def run_as(url: str, login: str, statements: str) -> Generator[Connection]:
    as_login = make_url(url).set(username=login).render_as_string(hide_password=False)
    with Database(as_login) as database, database.unrestricted() as connection:
        connection.execution_options(no_parameters=True).exec_driver_sql(statements)
        connection.commit()
        yield connection


def test_without_the_privilege_the_error_names_the_statements_for_an_administrator(
    postgres_server: PostgresServer, database_url: str
) -> None:
    with a_login(postgres_server, member=False) as login:
        said = f"create role absent_app nologin; create role absent_overview nologin; grant .* to {login}"
        with pytest.raises(StatementRefused, match=said), run_as(database_url, login, roles_named("absent_")):
            pass


def test_the_creator_of_the_roles_may_assume_them_and_inherits_nothing(
    postgres_server: PostgresServer, database_url: str
) -> None:
    may = "pg_has_role('fresh_app', 'SET'), pg_has_role('fresh_overview', 'SET'), pg_has_role('fresh_app', 'USAGE')"
    with a_login(postgres_server, member=False, options="createrole") as login:
        with run_as(database_url, login, roles_named("fresh_")) as connection:
            assert tuple(connection.execute(text(f"select {may}")).one()) == (True, True, False)
        for role in ("fresh_app", "fresh_overview"):
            postgres_server.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_a_second_database_of_the_server_and_a_second_time_do_no_harm(empty_database_url: str) -> None:
    migrate(empty_database_url)
    with Database(empty_database_url) as database, database.unrestricted() as connection:
        connection.execution_options(no_parameters=True).exec_driver_sql(_SCRIPT.read_text())
        connection.rollback()
