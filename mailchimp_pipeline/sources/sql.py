"""A database as a source: a table or a query a relation, the organisation's rows alone, and only our columns.

What does not belong here: how rows travel (`sql_copy` from PostgreSQL, `sql_select` from any other).
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
"""A million people take seconds: what takes longer than this waits for a lock, or will not end."""

# COPY hands over the server's bytes as they are: in UTF-8 whatever the database is kept in, as Arrow wants it.
_POSTGRES_ARGUMENTS = {
    "client_encoding": "utf8",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
_LIMITED = sa.text(
    "select set_config('statement_timeout', :limit, true) where current_setting('statement_timeout') = '0'"
)
"""A limit for the transaction, unless the database or role has its own."""

_CANCELLED = "57014"
"""SQLSTATE of a statement that reached its limit of time, or that somebody cancelled."""

_LASTING_STATES = ("22", "28", "2F", "3D", "3F", "42", "0A")
"""Classes of SQLSTATE that stay until somebody changes something: data, log-in, names, permissions, syntax."""


class SqlTransport(Protocol):
    """How rows of one kind of database become a frame."""

    def rows(self, connection: sa.Connection, relation: SqlRelation, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows, the relation's columns as `ARROW_STRING`."""
        ...

    def find(
        self, connection: sa.Connection, relation: SqlRelation, organisation_id: str, entity_id: str, *, trimmed: bool
    ) -> pd.DataFrame:
        """Return the organisation's rows whose id is equal to `entity_id`: as stored, or without blanks around it."""
        ...

    def version(self, connection: sa.Connection, relation: SqlRelation) -> RelationVersion:
        """Return the number of rows over all organisations, and a sum over their content."""
        ...


class SqlSource:
    """The relations as tables or queries of one database. Every read has a connection of its own, and only reads."""

    def __init__(self, engine: sa.Engine, transport: SqlTransport, relations: Mapping[EntityType, str]) -> None:
        self._engine = engine
        self._transport = transport
        self._relations = relations

    @classmethod
    def at(cls, url: str, *, employees: str, vendors: str) -> "SqlSource":
        """Return the source at an SQLAlchemy URL; each relation is the name of a table, or a query."""
        engine = _engine(url)
        transport = CopyTransport() if engine.dialect.name == "postgresql" else SelectTransport()
        return cls(engine, transport, {EntityType.EMPLOYEE: employees, EntityType.VENDOR: vendors})

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows of the relation."""
        with self._open(relation) as (connection, found):
            return self._transport.rows(connection, found, organisation_id)

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the contact's rows.

        First the database looks for the id as it is given, by an index where the table has one. If there is no such
        row, it looks through the organisation's rows for the normalised id, without the blanks around it. A row whose
        id has blanks or invisible characters inside, or compatibility forms, is found only by exactly that text.
        """
        with self._open(relation) as (connection, found):
            if "id" not in found.columns:
                raise MissingColumnError(relation.relation, "id")
            for wanted, trimmed in ((entity_id, False), (normalised(entity_id), True)):
                rows = self._transport.find(connection, found, organisation_id, wanted, trimmed=trimmed)
                # What is equal to a database need not be to us: to some of them case and leading zeros are nothing.
                rows = rows[same_text(text_column(rows["id"]), entity_id).to_numpy(zero_copy_only=False)]
                if not rows.empty:
                    break
            return rows.reset_index(drop=True)

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows of the relation, and a sum over the content of our columns."""
        with self._open(relation) as (connection, found):
            return self._transport.version(connection, found)

    @contextmanager
    def _open(self, entity_type: EntityType) -> Generator[tuple[sa.Connection, SqlRelation]]:
        """Yield a connection and the relation found over it; what the driver raises becomes an error of ours."""
        # The handler stands outside: leaving a connection that broke rolls back over it, and that fails as well.
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
    """Return an engine without a pool: a run reads a few times, and nothing is left open between."""
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
    """Return the SQLSTATE that the server gave, where it gave one."""
    return getattr(getattr(error, "orig", error), "sqlstate", None)


def _is_passing(error: exc.DBAPIError | psycopg.Error) -> bool:
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    state = _state(error)
    if state:
        return not state.startswith(_LASTING_STATES)
    # Without a state PostgreSQL was not reached; of other drivers we know no better than that asking again is vain.
    return isinstance(getattr(error, "orig", error), psycopg.OperationalError)


def _said(error: Exception) -> str:
    """Return the kind of error, without its text: drivers quote statements, rows and users in it."""
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
