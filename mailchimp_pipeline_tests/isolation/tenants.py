"""Two organisations with one row each in every table, and PostgreSQL logins.

The rows are generated from the column types, so new tables are included.
"""

from collections.abc import Generator
from contextlib import contextmanager

from psycopg import sql
from sqlalchemy import JSON, BigInteger, Boolean, Column, Connection, DateTime, Float, Integer, Table, Uuid, text

from mailchimp_pipeline.database.tables import Row
from mailchimp_pipeline_tests.conftest import PostgresServer

ACME, GLOBEX = "acme", "globex"
ROLES = ("mailchimp_pipeline_app", "mailchimp_pipeline_overview")

TABLES = [table for table in Row.metadata.sorted_tables if "organisation_id" in table.columns]

_LOOSEN = """
select format('alter table %s drop constraint %I', conrelid::regclass, conname) from pg_constraint
where contype in ('c', 'f') and connamespace = 'public'::regnamespace
"""
_VALUES: tuple[tuple[type, str], ...] = (
    (Boolean, "false"),
    (BigInteger, "1"),
    (Integer, "1"),
    (Float, "0.5"),
    (DateTime, "2026-03-01T05:00:00Z"),
    (JSON, "{}"),
)


def fill(connection: Connection) -> None:
    """Write one row for each organisation into every table, ignoring constraints."""
    for statement in connection.scalars(text(_LOOSEN)).all():
        connection.execute(text(statement))
    for table in TABLES:
        for organisation_id in (ACME, GLOBEX):
            connection.execute(text(filled(table, organisation_id)))


def filled(table: Table, organisation_id: str) -> str:
    """Return the statement that inserts a row of the organisation."""
    columns = [column for column in table.columns if column.identity is None]
    values = ", ".join(_value(column, organisation_id) for column in columns)
    names = ", ".join(column.name for column in columns)
    return f"insert into {table.name} ({names}) values ({values})"  # noqa: S608 - names of our tables


def _value(column: "Column[object]", organisation_id: str) -> str:
    if isinstance(column.type, Uuid):
        return "gen_random_uuid()"
    known = next((value for kind, value in _VALUES if isinstance(column.type, kind)), None)
    return f"'{organisation_id if known is None else known}'"


@contextmanager
def a_login(server: PostgresServer, *, member: bool = True, options: str = "") -> Generator[str]:
    """Yield the name of a login without tables of its own, a member of the documented roles."""
    name = f"login_{next(server.numbers)}"
    statement = f"create role {{}} login noinherit {options}"
    server.execute(sql.SQL(statement).format(sql.Identifier(name)))  # pyright: ignore[reportArgumentType] - no literal
    try:
        if member:
            roles = sql.SQL(", ").join(map(sql.Identifier, ROLES))
            server.execute(sql.SQL("grant {} to {}").format(roles, sql.Identifier(name)))
        yield name
    finally:
        server.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))
