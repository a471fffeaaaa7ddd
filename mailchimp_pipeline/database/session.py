"""The way into the database: transactions scoped to one organisation, and what can go wrong on the way.

Stores take an `OrganisationSession`, so no query of theirs can forget the organisation; PostgreSQL is told it too,
in `mailchimp_pipeline.organisation_id`, for policies on rows. What does not belong here: queries.
"""

from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import psycopg
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from mailchimp_pipeline.errors import LastingError, PassingError, PipelineError

_CONNECT_SECONDS = 10
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_AWAY_STATES = ("08", "57P", "53300")
"""SQLSTATEs of a server that is gone, going, starting or full; an error without any is the connection's."""


class DatabaseAway(PassingError):
    """PostgreSQL cannot be reached, or ended the connection."""


class DatabaseNotMigrated(LastingError):
    """The database has not the tables that this version works with."""


class StatementRefused(LastingError):
    """PostgreSQL refused a statement of ours: a defect, told without the row that PostgreSQL would quote."""


class OrganisationSession(Session):
    """A transaction that works for one organisation."""

    def __init__(self, bind: Engine, organisation_id: str) -> None:
        super().__init__(bind, expire_on_commit=False)
        self.organisation_id = organisation_id


class Database:
    """A PostgreSQL database. May be used from many threads; `close` it, or use it as a context."""

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        pool_wait_seconds: float = 30,
        application_name: str = "mailchimp-pipeline",
    ) -> None:
        """Take a `postgresql+psycopg://` URL; nothing is connected until the first use."""
        parsed = make_url(url)
        self._place = _place(parsed)
        arguments: dict[str, object] = {
            "application_name": application_name,
            "client_encoding": "utf8",
            "connect_timeout": _CONNECT_SECONDS,
            **_KEEPALIVES,
        }
        self._engine = create_engine(
            parsed,
            connect_args=arguments,
            pool_pre_ping=True,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_wait_seconds,
            hide_parameters=True,
        )
        self._dedicated = create_engine(
            parsed, connect_args=arguments, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
        )

    @contextmanager
    def organisation(self, organisation_id: str) -> Generator[OrganisationSession]:
        """Open a transaction for one organisation: committed at the end, rolled back where the block raises."""
        if not organisation_id:
            raise ValueError("A transaction needs the id of an organisation.")
        with self.explained(), OrganisationSession(self._engine, organisation_id) as session, session.begin():
            session.execute(
                text("select set_config('mailchimp_pipeline.organisation_id', :id, true)"), {"id": organisation_id}
            )
            yield session

    @contextmanager
    def everyone(self) -> Generator[Session]:
        """Open a transaction over all organisations, for what looks across them: sensors, schedules, key rotation."""
        with self.explained(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def dedicated(self) -> Generator[Connection]:
        """Open a connection of its own, in autocommit: session locks live as long as it does."""
        with self.explained():
            connection = self._dedicated.connect()
        with connection:
            with self.explained():
                # A machine that vanishes cannot end its sessions: the server looks after it, or the locks would stay.
                for name, value in _KEEPALIVES.items():
                    connection.execute(
                        text("select set_config(:name, :value, false)"), {"name": f"tcp_{name}", "value": str(value)}
                    )
            yield connection

    def close(self) -> None:
        """Close the idle connections; the database may still be used."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def explained(self) -> Generator[None]:
        """Turn what the driver raises in the block into errors that a person can act on, and that quote no row."""
        try:
            yield
        except PoolTimeoutError as error:
            raise DatabaseAway(f"All connections to PostgreSQL ({self._place}) are in use. Try again later.") from error
        except (DBAPIError, psycopg.Error) as error:
            raise self._told(error).with_traceback(error.__traceback__) from None

    def _told(self, error: DBAPIError | psycopg.Error) -> PipelineError:
        if is_connection_lost(error):
            return DatabaseAway(
                f"PostgreSQL ({self._place}) cannot be reached or ended the connection. Check that the server runs, "
                "and that MAILCHIMP_PIPELINE_DATABASE_URL names it with the right user and password."
            )
        cause = _driver_error(error)
        if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            return DatabaseNotMigrated(
                f"The tables in the database ({self._place}) are not those of this version. "
                "Run `mailchimp-pipeline migrate`."
            )
        return StatementRefused(f"PostgreSQL ({self._place}) refused a statement: {_without_values(cause)}.")


def is_connection_lost(error: BaseException) -> bool:
    """Tell whether an error of a query means that its connection is gone, or was never made."""
    driver_error = _driver_error(error)
    if not isinstance(driver_error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return driver_error.sqlstate is None or driver_error.sqlstate.startswith(_AWAY_STATES)


def has_lock_timed_out(error: DBAPIError) -> bool:
    """Tell whether a statement gave up waiting for a lock."""
    return isinstance(error.orig, psycopg.errors.LockNotAvailable)


def _driver_error(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _without_values(cause: BaseException | None) -> str:
    """Return what PostgreSQL said but for its detail and context, which quote rows; data errors quote in the text."""
    if not isinstance(cause, psycopg.Error):
        return type(cause).__name__
    about_data = (cause.sqlstate or "22").startswith("22")
    said = "" if about_data else f": {cause.diag.message_primary}"
    return f"{type(cause).__name__} ({cause.sqlstate}){said}"


def _place(url: URL) -> str:
    """Return what a person knows the database by: host and name, neither user nor password."""
    host = url.host or url.query.get("host") or "the local socket"
    port = f":{url.port}" if url.port else ""
    return f"{host}{port}/{url.database or ''}"
