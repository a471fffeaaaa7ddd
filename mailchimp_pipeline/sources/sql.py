"""A source in a database: a table or query for each relation.

Only known columns are read, and of one organisation. The database converts each value to text. `CopyTransport` reads
from PostgreSQL by COPY, which takes a quarter of the time of a SELECT and half the memory. `SelectTransport` reads from
any database with an SQLAlchemy driver.
"""

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd
import psycopg
import sqlalchemy as sa
from psycopg import sql
from sqlalchemy import exc

from mailchimp_pipeline.contacts import ARROW_STRING, RELATION_COLUMNS, EntityType, MissingColumnError, RelationVersion
from mailchimp_pipeline.contacts.text_columns import normalised, same_text, text_column
from mailchimp_pipeline.database.bulk import copy_out
from mailchimp_pipeline.sources.format import SourceAwayError, UnreadableSourceError, column_name

_QUERY = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqlRelation:
    """A relation in a database, given as a table name or a query.

    `columns` maps names in `RELATION_COLUMNS` to the names that the database has for them.
    """

    table_or_query: str
    columns: Mapping[str, str]

    @classmethod
    def find(cls, connection: sa.Connection, entity_type: EntityType, table_or_query: str) -> "SqlRelation":
        """Look up which of `RELATION_COLUMNS` the table or query has, and return the relation with these.

        Names are compared as `column_name`. Raises `MissingColumnError` if there is no column `organisation_id`.
        """
        everything: sa.ColumnElement[object] = sa.literal_column("*")
        probe = sa.select(everything).select_from(_from_clause(table_or_query)).where(sa.false())
        found = list(connection.execute(probe).keys())
        theirs = {column_name(name): name for name in found}
        columns = {name: theirs[name] for name in RELATION_COLUMNS if name in theirs}
        if "organisation_id" not in columns:
            raise MissingColumnError(entity_type.relation, "organisation_id")
        return cls(table_or_query=table_or_query, columns=columns)

    @property
    def is_query(self) -> bool:
        """Whether the relation is a query and not a table."""
        return is_query(self.table_or_query)

    @property
    def from_clause(self) -> sa.FromClause:
        """The relation as an SQLAlchemy FROM clause."""
        return _from_clause(self.table_or_query)


def is_query(table_or_query: str) -> bool:
    """Return whether the text is a query: it starts with `select` or `with`."""
    return _QUERY.match(table_or_query) is not None


def as_subquery(query: str) -> str:
    """Return the query in a form that can stand in brackets.

    The last semicolon is removed, and a line break ends a comment at the end.
    """
    return query.strip().rstrip(";") + "\n"


def table_path(name: str) -> tuple[str | None, str]:
    """Split a table name at its last dot into schema and table. The schema is None if the name has no dot."""
    schema, _, table = name.strip().rpartition(".")
    return schema or None, table


def _from_clause(table_or_query: str) -> sa.FromClause:
    if is_query(table_or_query):
        literal = as_subquery(table_or_query).replace(":", r"\:")  # SQLAlchemy reads `:name` as a parameter
        return sa.text(literal).columns().subquery("source")
    schema, table = table_path(table_or_query)
    return sa.table(table, schema=schema)


class CopyTransport:
    """Reads rows by COPY TO STDOUT. COPY takes no parameters, so the driver quotes the values."""

    def rows(self, connection: sa.Connection, relation: SqlRelation, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows.

        The organisation's id is an untyped literal, so that PostgreSQL can use an index on a column of any type.
        """
        query = _rows_to_copy(relation, sql.Literal(organisation_id))
        pieces = copy_out(_driver_connection(connection), query, list(relation.columns))
        return pd.concat([_nothing(relation), *pieces], ignore_index=True)

    def find(
        self, connection: sa.Connection, relation: SqlRelation, organisation_id: str, entity_id: str, *, trimmed: bool
    ) -> pd.DataFrame:
        """Return the organisation's rows with this id, by SELECT.

        The id is a parameter, so that no log of statements has it. The stored ids are cast to text, which never fails,
        and an index on a text column is still used. With `trimmed`, they are compared without blanks at their ends.
        """
        stored = sql.SQL("btrim({}::text)" if trimmed else "{}::text").format(_name(relation.columns["id"]))
        query = sql.SQL("{} AND {} = %s").format(_rows_to_copy(relation, sql.Placeholder()), stored)
        result = _driver_connection(connection).execute(query, [organisation_id, entity_id]).pgresult
        if result is None or not result.ntuples:
            return _nothing(relation)
        # The server's text values, as in COPY. The driver would convert numbers and dates.
        texts = {
            name: [_text(result.get_value(row, column)) for row in range(result.ntuples)]
            for column, name in enumerate(relation.columns)
        }
        return pd.DataFrame(texts, dtype=ARROW_STRING)

    def version(self, connection: sa.Connection, relation: SqlRelation) -> RelationVersion:
        """Return the number of rows, and the sum of the rows' hashes as the version.

        The sum does not depend on the order of the rows.
        """
        texts = [sql.SQL("{}::text").format(_name(theirs)) for theirs in relation.columns.values()]
        query = sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(row({texts})::text, 0)::numeric), 0) FROM {relation}"
        ).format(texts=sql.SQL(", ").join(texts), relation=_copied_from(relation))
        rows, total = _driver_connection(connection).execute(query).fetchone() or (0, 0)
        return RelationVersion(rows=rows, version=f"{int(total) % 2**64:016x}")


def _rows_to_copy(relation: SqlRelation, organisation: sql.Composable) -> sql.Composed:
    """Return the query for the organisation's rows. `organisation` is the id, as a literal or a placeholder."""
    columns = [sql.SQL("{} AS {}").format(_name(theirs), _name(ours)) for ours, theirs in relation.columns.items()]
    return sql.SQL("SELECT {columns} FROM {relation} WHERE {organisation_id} = {organisation}").format(
        columns=sql.SQL(", ").join(columns),
        relation=_copied_from(relation),
        organisation_id=_name(relation.columns["organisation_id"]),
        organisation=organisation,
    )


def _nothing(relation: SqlRelation) -> pd.DataFrame:
    return pd.DataFrame(columns=list(relation.columns), dtype=ARROW_STRING)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _driver_connection(connection: sa.Connection) -> psycopg.Connection[Any]:
    driver_connection: Any = connection.connection.driver_connection
    return driver_connection


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _copied_from(relation: SqlRelation) -> sql.Composable:
    if relation.is_query:
        trusted: Any = as_subquery(relation.table_or_query)  # the operator's own setting, run with the login's rights
        return sql.SQL("({}) AS source").format(sql.SQL(trusted))
    schema, table = table_path(relation.table_or_query)
    return sql.Identifier(schema, table) if schema else sql.Identifier(table)


_TEXT = sa.Unicode(2000)
"""A text type that every dialect can cast to. Some require Unicode, and some a length."""

_ROWS_A_PIECE = 50_000


class SelectTransport:
    """Reads rows by `pandas.read_sql_query`.

    The database converts the values to text, because drivers would turn 7 into 7.0.
    """

    def rows(self, connection: sa.Connection, relation: SqlRelation, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows."""
        return pd.read_sql_query(_rows_of(relation, organisation_id), connection).astype(ARROW_STRING)

    def find(
        self, connection: sa.Connection, relation: SqlRelation, organisation_id: str, entity_id: str, *, trimmed: bool
    ) -> pd.DataFrame:
        """Return the organisation's rows with this id.

        With `trimmed`, stored ids are compared as text without blanks at their ends.
        """
        stored: sa.ColumnElement[str] = sa.column(relation.columns["id"])
        statement = _rows_of(relation, organisation_id)
        if trimmed:
            trimmed_id = sa.func.trim(sa.cast(stored, _TEXT))
            return pd.read_sql_query(statement.where(trimmed_id == entity_id), connection).astype(ARROW_STRING)
        try:
            return pd.read_sql_query(statement.where(stored == entity_id), connection).astype(ARROW_STRING)
        except exc.DBAPIError as error:
            if error.connection_invalidated:
                raise
            # Ids in this database are numbers, and this id is none. The trimmed search reports any other problem.
            return pd.DataFrame(columns=list(relation.columns), dtype=ARROW_STRING)

    def version(self, connection: sa.Connection, relation: SqlRelation) -> RelationVersion:
        """Return the number of rows, and the sum of the rows' hashes as the version.

        The sum does not depend on the order of the rows.
        """
        rows, total = 0, 0
        for piece in _pieces(connection, relation):
            hashes: Any = pd.util.hash_pandas_object(piece.astype("str"), index=False)
            rows += len(piece)
            total += int(hashes.sum())
        return RelationVersion(rows=rows, version=f"{total % 2**64:016x}")


def _pieces(connection: sa.Connection, relation: SqlRelation) -> Iterator[pd.DataFrame]:
    streaming = connection.execution_options(stream_results=True)
    return pd.read_sql_query(_select_as_text(relation), streaming, chunksize=_ROWS_A_PIECE)


def _rows_of(relation: SqlRelation, organisation_id: str) -> "sa.Select[*tuple[Any, ...]]":
    organisation: sa.ColumnElement[str] = sa.column(relation.columns["organisation_id"])
    return _select_as_text(relation).where(organisation == organisation_id)


def _select_as_text(relation: SqlRelation) -> "sa.Select[*tuple[Any, ...]]":
    columns = [sa.cast(sa.column(theirs), _TEXT).label(ours) for ours, theirs in relation.columns.items()]
    return sa.select(*columns).select_from(relation.from_clause)


_CONNECT_SECONDS = 10
_STATEMENT_MINUTES = 15
"""The time limit of a statement in minutes. Reading a million contacts takes seconds."""

# COPY returns the server's bytes, and Arrow expects UTF-8.
_POSTGRES_ARGUMENTS = {
    "client_encoding": "utf8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_LIMITED = sa.text(
    "select set_config('statement_timeout', :limit, true) where current_setting('statement_timeout') = '0'"
)
"""Sets the time limit of the transaction's statements, unless the database or the role has its own."""

_CANCELLED = "57014"
"""SQLSTATE of a statement that reached its time limit or was cancelled."""

_LASTING_STATES = ("22", "28", "2F", "3D", "3F", "42", "0A")
"""The first characters of the SQLSTATEs that need a person: wrong data, log-in, names, permissions or syntax."""


class SqlTransport(Protocol):
    """Reads rows from one kind of database into a frame."""

    def rows(self, connection: sa.Connection, relation: SqlRelation, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows, with the relation's columns as `ARROW_STRING`."""
        ...

    def find(
        self, connection: sa.Connection, relation: SqlRelation, organisation_id: str, entity_id: str, *, trimmed: bool
    ) -> pd.DataFrame:
        """Return the organisation's rows whose id equals `entity_id`.

        With `trimmed`, stored ids are compared without blanks at their ends.
        """
        ...

    def version(self, connection: sa.Connection, relation: SqlRelation) -> RelationVersion:
        """Return the number of rows over all organisations, and a hash of their content as the version."""
        ...


class SqlSource:
    """A source of tables or queries in one database.

    Each read opens its own connection. In PostgreSQL the connection is read-only.
    """

    def __init__(self, engine: sa.Engine, transport: SqlTransport, relations: Mapping[EntityType, str]) -> None:
        self._engine = engine
        self._transport = transport
        self._relations = relations

    @classmethod
    def at(cls, url: str, *, employees: str, vendors: str) -> "SqlSource":
        """Return the source at an SQLAlchemy URL. `employees` and `vendors` are table names or queries.

        Raises `UnreadableSourceError` if the URL is invalid or its driver is not installed.
        """
        engine = _engine(url)
        transport = CopyTransport() if engine.dialect.name == "postgresql" else SelectTransport()
        return cls(engine, transport, {EntityType.EMPLOYEE: employees, EntityType.VENDOR: vendors})

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows of the relation."""
        with self._open(relation) as (connection, found):
            return self._transport.rows(connection, found, organisation_id)

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the contact's rows. Raises `MissingColumnError` if the relation has no column `id`.

        The database first looks for the id exactly as given, which uses an index if there is one. If it finds nothing,
        it compares the normalised id with the organisation's stored ids, without blanks at their ends. A stored id with
        unusual characters inside is therefore found only by its exact text.
        """
        with self._open(relation) as (connection, found):
            if "id" not in found.columns:
                raise MissingColumnError(relation.relation, "id")
            for wanted, trimmed in ((entity_id, False), (normalised(entity_id), True)):
                rows = self._transport.find(connection, found, organisation_id, wanted, trimmed=trimmed)
                # Databases may ignore case or leading zeros in comparisons.
                rows = rows[same_text(text_column(rows["id"]), entity_id).to_numpy(zero_copy_only=False)]
                if not rows.empty:
                    break
            return rows.reset_index(drop=True)

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows of the relation, and a hash of the content of `RELATION_COLUMNS` as the version."""
        with self._open(relation) as (connection, found):
            return self._transport.version(connection, found)

    @contextmanager
    def _open(self, entity_type: EntityType) -> Generator[tuple[sa.Connection, SqlRelation]]:
        """Yield a connection and the relation. An error of the driver is raised as an error of `sources`.

        It is a `SourceAwayError` if a later attempt may succeed, else an `UnreadableSourceError`.
        """
        # The handler is outside, because closing a broken connection raises another error.
        try:
            with self._connect() as connection:
                yield connection, SqlRelation.find(connection, entity_type, self._relations[entity_type])
        except (exc.DBAPIError, psycopg.Error) as error:
            if _state(error) == _CANCELLED:
                raise _too_slow(entity_type) from None
            if _is_passing(error):
                raise _away(error) from None
            raise _unreadable(entity_type, error) from None

    @contextmanager
    def _connect(self) -> Generator[sa.Connection]:
        try:
            connection = self._engine.connect()
        except exc.DBAPIError as error:
            raise _away(error) from None
        with connection:
            if connection.dialect.name == "postgresql":
                connection.execute(_LIMITED, {"limit": f"{_STATEMENT_MINUTES}min"})
            yield connection


def _engine(url: str) -> sa.Engine:
    """Return an engine without a connection pool, because a run reads only a few times.

    Raises `UnreadableSourceError` if the URL is invalid or its driver is not installed.
    """
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() in {"postgres", "postgresql"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
            parsed = parsed.update_query_dict({"connect_timeout": str(_CONNECT_SECONDS), **parsed.query})
            return sa.create_engine(
                parsed,
                connect_args=_POSTGRES_ARGUMENTS,
                poolclass=sa.NullPool,
                execution_options={"postgresql_readonly": True},
            )
        return sa.create_engine(parsed, poolclass=sa.NullPool)
    except (exc.ArgumentError, ImportError, ValueError) as error:
        raise UnreadableSourceError(
            f"MAILCHIMP_PIPELINE_SOURCE is not the URL of a database we have a driver for ({type(error).__name__}). "
            f"Write it as SQLAlchemy does, dialect+driver://user:password@host/database, and install that driver."
        ) from None


def _state(error: Exception) -> str | None:
    """Return the error's SQLSTATE, None if there is none."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def _is_passing(error: exc.DBAPIError | psycopg.Error) -> bool:
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    state = _state(error)
    if state:
        return not state.startswith(_LASTING_STATES)
    # Without an SQLSTATE, PostgreSQL was unreachable. With other drivers, such an error counts as permanent.
    return isinstance(getattr(error, "orig", error), psycopg.OperationalError)


def _said(error: Exception) -> str:
    """Return the error's class and its SQLSTATE. The text is left out, because it may quote rows and users."""
    name = type(getattr(error, "orig", error)).__name__
    state = _state(error)
    return f"{name}, SQLSTATE {state}" if state else name


def _away(error: Exception) -> SourceAwayError:
    return SourceAwayError(
        f"The source's database does not answer ({_said(error)}). It is asked again; if that goes on, check the "
        f"host, port, user and password in MAILCHIMP_PIPELINE_SOURCE, and that the database is up."
    )


def _too_slow(entity_type: EntityType) -> UnreadableSourceError:
    return UnreadableSourceError(
        f"Reading the source's {entity_type.relation} was cancelled: it took longer than the database's "
        f"statement_timeout, or than {_STATEMENT_MINUTES} minutes where that is not set. Look what the table is locked "
        f"by, or make the query in MAILCHIMP_PIPELINE_{entity_type.relation.upper()} faster."
    )


def _unreadable(entity_type: EntityType, error: Exception) -> UnreadableSourceError:
    return UnreadableSourceError(
        f"The source's {entity_type.relation} cannot be read ({_said(error)}). Check that the table or query in "
        f"MAILCHIMP_PIPELINE_{entity_type.relation.upper()} (left out, the table '{entity_type.relation}') exists, "
        f"and that the user in MAILCHIMP_PIPELINE_SOURCE may read it."
    )
