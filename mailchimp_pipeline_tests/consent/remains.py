"""Looks for what is left of a person: in every table of a PostgreSQL server, and in files.

A dump as `pg_dumpall` would make it and more: the catalogs too, whose statistics quote rows, and compressed values.
"""

import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import make_url

_TABLES = """
select pg_class.oid, nspname, relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind in ('r', 'm') and (not relisshared or current_database() = 'postgres')
order by 1
"""
_BYTES = """
select attname from pg_attribute where attrelid = %s and atttypid = 'bytea'::regtype and attnum > 0
    and not attisdropped
"""


def places_in_server(url: str, needles: Collection[str]) -> dict[str, set[str]]:
    """Return which needles stand where: by `database.table`."""
    found: dict[str, set[str]] = {}
    with _connected(url, "postgres") as connection:
        databases = connection.execute("select datname from pg_database where datallowconn").fetchall()
    for (database,) in databases:
        with _connected(url, database) as connection:
            for table, text in _rows(connection):
                held = {needle for needle in needles if needle.lower() in text}
                found.setdefault(f"{database}.{table}", set()).update(held)
    return {place: held for place, held in found.items() if held}


def places_in_files(directory: Path, needles: Collection[str], *, leaving_out: Path) -> dict[str, set[str]]:
    """Return which needles stand in which file below the directory, names of files included."""
    found: dict[str, set[str]] = {}
    for path in directory.rglob("*"):
        if path.is_relative_to(leaving_out) and path != leaving_out / "log":
            continue
        content = path.read_bytes().decode("latin-1").lower() if path.is_file() else ""
        held = {needle for needle in needles if needle.lower() in content + path.name.lower()}
        found |= {str(path.relative_to(directory)): held} if held else {}
    return found


def _rows(connection: psycopg.Connection) -> Iterator[tuple[str, str]]:
    """Yield each table's rows as text, long values out of their own tables included."""
    for oid, schema, table in connection.execute(_TABLES).fetchall():
        name = sql.Identifier(schema, table)
        with connection.cursor().copy(sql.SQL("copy (select t::text from {} t) to stdout").format(name)) as copy:
            for block in copy:
                yield table, bytes(block).decode().lower()
        for (column,) in connection.execute(_BYTES, [oid]).fetchall():
            values = connection.execute(sql.SQL("select {} from {}").format(sql.Identifier(column), name))
            yield from ((table, _opened(value)) for (value,) in values.fetchall() if value)


def _opened(value: bytes) -> str:
    try:
        return zlib.decompress(value).decode("latin-1").lower()
    except zlib.error:
        return value.decode("latin-1").lower()


def _connected(url: str, database: str) -> psycopg.Connection:
    address = make_url(url).set(drivername="postgresql", database=database).render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=True)
