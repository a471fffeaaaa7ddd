"""A source in a database: a table or query for each relation. Only the organisation's rows and known columns are read.

What does not belong here: transferring rows (`sql_copy` for PostgreSQL, `sql_select` for others).
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Protocol

import pandas as pd
import psycopg
import sqlalchemy as sa
from sqlalchemy import exc

from mailchimp_pipeline.contacts import EntityType, MissingColumnError, RelationVersion
from mailchimp_pipeline.contacts.arrow import text_column
from mailchimp_pipeline.contacts.text import normalised, same_text
from mailchimp_pipeline.sources.errors import SourceAwayError, UnreadableSourceError
from mailchimp_pipeline.sources.sql_copy import CopyTransport
from mailchimp_pipeline.sources.sql_relation import SqlRelation
from mailchimp_pipeline.sources.sql_select import SelectTransport

_CONNECT_SECONDS = 10
_STATEMENT_MINUTES = 15
"""The time limit of a statement. Reading a million contacts takes seconds."""

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
"""Sets the transaction's time limit, unless the database or role has its own."""

_CANCELLED = "57014"
"""SQLSTATE of a statement that reached its time limit or was cancelled."""

_LASTING_STATES = ("22", "28", "2F", "3D", "3F", "42", "0A")
"""Classes of SQLSTATE that need a person: data, log-in, names, permissions, syntax."""


class SqlTransport(Protocol):
    """Transfers rows of one kind of database into a frame."""

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
        """Return the number of rows over all organisations, and a hash of their content."""
        ...


class SqlSource:
    """The source of tables or queries in one database.

    Every read has its own connection, which is read-only in PostgreSQL.
    """

    def __init__(self, engine: sa.Engine, transport: SqlTransport, relations: Mapping[EntityType, str]) -> None:
        self._engine = engine
        self._transport = transport
        self._relations = relations

    @classmethod
    def at(cls, url: str, *, employees: str, vendors: str) -> "SqlSource":
        """Return the source at an SQLAlchemy URL. Each relation is a table name or a query.

        Raises `UnreadableSourceError` for an invalid URL or a missing driver.
        """
        engine = _engine(url)
        transport = CopyTransport() if engine.dialect.name == "postgresql" else SelectTransport()
        return cls(engine, transport, {EntityType.EMPLOYEE: employees, EntityType.VENDOR: vendors})

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows of the relation."""
        with self._open(relation) as (connection, found):
            return self._transport.rows(connection, found, organisation_id)

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the contact's rows.

        The database first looks for the id as given, which uses an index if there is one. Without a result, it compares
        the normalised id with the trimmed ids of the organisation. An id with unusual characters inside is found only
        by its exact text.
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
        """Return the number of rows of the relation, and a hash of the content of `RELATION_COLUMNS`."""
        with self._open(relation) as (connection, found):
            return self._transport.version(connection, found)

    @contextmanager
    def _open(self, entity_type: EntityType) -> Generator[tuple[sa.Connection, SqlRelation]]:
        """Yield a connection and the relation. Errors of the driver are translated to errors of `sources`."""
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
    """Return an engine without a pool, because a run reads only a few times."""
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
    """Return the kind of the error and its SQLSTATE. The text is left out, because it may quote rows and users."""
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
