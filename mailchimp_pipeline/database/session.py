"""Database connections, transactions restricted to one organisation, and translated PostgreSQL errors.

Stores take an `OrganisationSession`, and every query names its organisation. PostgreSQL's row-level security enforces
the same restriction: each transaction switches to a `DatabaseRole`. The migration 0002 creates these roles; before it,
transactions keep the role of the login.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from threading import Event
from types import TracebackType
from typing import Any, LiteralString, Self, TypeVar

import psycopg
from sqlalchemy import URL, ColumnElement, Connection, Engine, PoolResetState, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.tables import OrganisationRow
from mailchimp_pipeline.errors import Interrupted, PermanentError, PipelineError, TransientError

DriverConnection = psycopg.Connection[tuple[object, ...]]
"""A psycopg connection. Unlike SQLAlchemy's, it supports COPY."""


class DatabaseRole(StrEnum):
    """The PostgreSQL role to which a transaction switches."""

    APP = "mailchimp_pipeline_app"
    """Reads and writes the rows of one organisation."""
    OVERVIEW = "mailchimp_pipeline_overview"
    """Reads the rows of all organisations, and writes none."""


# A server's roles may come from another database, so the check looks at the last table that gets a policy. It is part
# of each transaction, because migrations can run at any time, and needs no extra round trip.
_TAKE_ON: LiteralString = """
select set_config('role', case when (
        select relrowsecurity from pg_catalog.pg_class where oid = to_regclass('audit_log')
    ) then %(role)s else 'none' end, %(for_transaction)s)
"""
_WORK_FOR: LiteralString = _TAKE_ON + ", set_config('mailchimp_pipeline.organisation_id', %(organisation_id)s, true)"


def driver_connection(session: Session) -> DriverConnection:
    """Return the psycopg connection of the session. Its statements run in the session's transaction."""
    connection: Any = session.connection().connection.driver_connection
    return connection


def restrict_to(session: Session, organisation_id: str) -> None:
    """Restrict the transaction to reading and writing the rows of this organisation."""
    parameters = {"role": DatabaseRole.APP.value, "for_transaction": True, "organisation_id": organisation_id}
    driver_connection(session).execute(_WORK_FOR, parameters)


def read_all_organisations(session: Session) -> None:
    """Allow the transaction to read the rows of all organisations, and to write none."""
    parameters = {"role": DatabaseRole.OVERVIEW.value, "for_transaction": True}
    driver_connection(session).execute(_TAKE_ON, parameters)


def hide_all_rows(connection: Connection) -> None:
    """Make the connection unable to read or write rows, because it is used for locks only."""
    connection.exec_driver_sql(_TAKE_ON, {"role": DatabaseRole.APP.value, "for_transaction": False})


_CONNECT_SECONDS = 10
_KEEPALIVES = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_AWAY_STATES = ("08", "57P", "53300")
"""Prefixes of the SQLSTATEs that mean that the server is unavailable."""


_BUSY = (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


class DatabaseAway(Interrupted):
    """PostgreSQL is unavailable, or ended the connection."""


class DatabaseNotMigrated(PermanentError):
    """The database does not have the tables of this version."""


class DatabaseFull(PermanentError):
    """PostgreSQL has no disk space left."""


class RoleNotGranted(PermanentError):
    """The database user lacks the permission to switch to a `DatabaseRole`."""


class StatementRefused(PermanentError):
    """PostgreSQL refused a statement, which is a defect of the pipeline. The error has no values of the row."""


class DatabaseBusy(TransientError):
    """A statement exceeded its time limit, waited too long for a lock, or was ended by a deadlock."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """The time limits of a statement and of its wait for a lock, in seconds."""

    statement_seconds: float
    lock_seconds: float


class OrganisationSession(Session):
    """A session whose transaction reads and writes the rows of one organisation only."""

    def __init__(self, bind: Engine | Connection, organisation_id: str) -> None:
        super().__init__(bind, expire_on_commit=False, join_transaction_mode="create_savepoint")
        self.organisation_id = organisation_id

    def owns(self, row: type[OrganisationRow]) -> ColumnElement[bool]:
        """Return the SQL condition that a row belongs to the session's organisation."""
        return row.organisation_id == self.organisation_id


class Database:
    """A PostgreSQL database with a pool of connections. Threads may share it.

    Use it in a `with` block, or call `close` at the end.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 5,
        pool_wait_seconds: float = 30,
        application_name: str = "mailchimp-pipeline",
        time_limits: TimeLimits | None = None,
    ) -> None:
        """Prepare access to the database at a `postgresql+psycopg://` URL. Connections are opened on first use.

        `time_limits` do not apply to the connections of `dedicated`.
        """
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
        if time_limits is not None:
            event.listen(self._engine, "connect", partial(_limit, limits=time_limits))
        self._dedicated = create_engine(
            parsed,
            connect_args=arguments,
            pool_pre_ping=True,
            max_overflow=-1,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
        )
        self._bind: Engine | Connection = self._engine
        event.listen(self._dedicated, "connect", _keep_alive)
        event.listen(self._dedicated, "reset", _release_locks)

    @contextmanager
    def organisation(self, organisation_id: str) -> Generator[OrganisationSession]:
        """Open a transaction for one organisation. It commits at the end of the block, or rolls back if that raises."""
        if not organisation_id:
            raise ValueError("A transaction needs the id of an organisation.")
        with self.translated_errors(), OrganisationSession(self._bind, organisation_id) as session, session.begin():
            restrict_to(session, organisation_id)
            yield session

    @contextmanager
    def rehearsal(self, limits: TimeLimits) -> Generator[Self]:
        """Yield a database that keeps nothing: its `organisation` transactions are undone at the end of the block.

        They are parts of one transaction, so each of them sees what the earlier ones wrote, and the locks that they
        take are held until the end. Only one thread may use the database. `limits` replace the database's own.
        """
        with self.translated_errors(), self._engine.connect() as connection, connection.begin() as transaction:
            connection.exec_driver_sql(_SET_LIMITS, _as_settings(limits, for_transaction=True))
            rehearsed = copy(self)
            rehearsed._bind = connection  # noqa: SLF001 - of the same class
            try:
                yield rehearsed
            finally:
                transaction.rollback()

    @contextmanager
    def everyone(self) -> Generator[Session]:
        """Open a read-only transaction over all organisations, for sensors, schedules and key rotation."""
        with self.translated_errors(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            read_all_organisations(session)
            yield session

    @contextmanager
    def unrestricted(self) -> Generator[Connection]:
        """Open a connection for migrations, with all rights of the URL's user. The caller must commit."""
        with self.translated_errors(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def dedicated(self) -> Generator[Connection]:
        """Return a connection for locks, in autocommit mode. The end of the block releases its locks.

        These connections have a pool of their own, without a limit, in which up to five stay open.
        """
        pool = self._dedicated.pool
        with self.translated_errors():
            connection = self._dedicated.connect()
        with connection:
            with self.translated_errors():
                hide_all_rows(connection)
            try:
                yield connection
            finally:
                if self._dedicated.pool is not pool:  # `close` was called meanwhile: nothing would close the connection
                    connection.invalidate()

    def close(self) -> None:
        """Close the idle connections. The database can still be used."""
        self._engine.dispose()
        self._dedicated.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def translated_errors(self) -> Generator[None]:
        """Translate database errors in the block into `PipelineError`s.

        Their messages say what to do, and have no values of rows.
        """
        try:
            yield
        except PoolTimeoutError as error:
            raise DatabaseAway(
                "All connections to PostgreSQL are in use. Try again later.", place=self._place
            ) from error
        except (DBAPIError, psycopg.Error) as error:
            raise self._translated(error).with_traceback(error.__traceback__) from None

    def _translated(self, error: DBAPIError | psycopg.Error) -> PipelineError:
        if is_connection_lost(error):
            return DatabaseAway(
                "PostgreSQL cannot be reached or ended the connection. Check that the server runs, and that "
                "MAILCHIMP_PIPELINE_DATABASE_URL names it with the right user and password.",
                place=self._place,
            )
        cause = _driver_error(error)
        if isinstance(cause, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
            return DatabaseNotMigrated(
                "The tables in the database are not those of this version. Run `mailchimp-pipeline migrate`.",
                place=self._place,
            )
        if isinstance(cause, psycopg.errors.DiskFull):
            return DatabaseFull(
                "PostgreSQL has no room left on its disk; nothing of what was to be written was. "
                "Make room there, then sync again.",
                place=self._place,
            )
        if isinstance(cause, _BUSY):
            return DatabaseBusy(
                f"PostgreSQL did not do it in time ({type(cause).__name__}). Try again later; if it stays so, look for "
                "transactions that do not end (the oldest `xact_start` in pg_stat_activity).",
                place=self._place,
            )
        if _is_about_role(cause):
            return RoleNotGranted(
                f"The user that MAILCHIMP_PIPELINE_DATABASE_URL names may not work with the tables. "
                f"Have an administrator of the server make the roles {' and '.join(DatabaseRole)}, where they are "
                f"missing (`create role ... nologin`), and run `grant {', '.join(DatabaseRole)} to` that user.",
                place=self._place,
            )
        kind, said = _without_values(cause)
        text = f"PostgreSQL refused a statement: {kind}. Please report it."
        return StatementRefused(text, place=f"{self._place}{said}")


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the error means that the connection was lost or could not be opened."""
    driver_error = _driver_error(error)
    if not isinstance(driver_error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return driver_error.sqlstate is None or driver_error.sqlstate.startswith(_AWAY_STATES)


def has_lock_timed_out(error: DBAPIError) -> bool:
    """Return whether a statement gave up waiting for a lock."""
    return isinstance(error.orig, psycopg.errors.LockNotAvailable)


def _limit(connection: psycopg.Connection[object], _record: object, *, limits: TimeLimits) -> None:
    """Set the time limits once for a new connection, which saves a round trip in each transaction."""
    connection.execute(_SET_LIMITS, _as_settings(limits, for_transaction=False))
    connection.commit()


_SET_LIMITS: LiteralString = """
select set_config('statement_timeout', %(statement)s, %(for_transaction)s),
    set_config('lock_timeout', %(lock)s, %(for_transaction)s)
"""


def _as_settings(limits: TimeLimits, *, for_transaction: bool) -> dict[str, object]:
    statement, lock = (f"{round(seconds * 1000)}ms" for seconds in (limits.statement_seconds, limits.lock_seconds))
    return {"statement": statement, "lock": lock, "for_transaction": for_transaction}


def _keep_alive(connection: psycopg.Connection[object], _record: object) -> None:
    """Let the server end the session of a lost machine, and with it the session's locks."""
    for name, value in _KEEPALIVES.items():
        connection.execute("select set_config(%s, %s, false)", [f"tcp_{name}", str(value)])
    connection.commit()


def _release_locks(connection: psycopg.Connection[object], _record: object, state: PoolResetState) -> None:
    """Release the locks of a connection that returns to the pool. If that fails, SQLAlchemy closes the connection."""
    if not state.terminate_only:
        connection.execute("select pg_advisory_unlock_all()")


def _driver_error(error: BaseException) -> BaseException | None:
    return error.orig if isinstance(error, DBAPIError) else error


def _is_about_role(cause: BaseException | None) -> bool:
    # PostgreSQL has no SQLSTATE for it, and its messages are localised.
    if not isinstance(cause, psycopg.errors.InsufficientPrivilege | psycopg.errors.InvalidParameterValue):
        return False
    return any(f'"{role}"' in (cause.diag.message_primary or "") for role in DatabaseRole)


def _without_values(cause: BaseException | None) -> tuple[str, str]:
    """Return the type of the error and PostgreSQL's message, without the parts that may contain values of rows.

    These are the error's detail and context, and the message of an error about data.
    """
    if not isinstance(cause, psycopg.Error):
        return type(cause).__name__, ""
    about_data = (cause.sqlstate or "22").startswith("22")
    said = "" if about_data else f": {cause.diag.message_primary}"
    return f"{type(cause).__name__} ({cause.sqlstate})", said


def _place(url: URL) -> str:
    """Return the host, port and name of the database, without user and password."""
    host = url.host or url.query.get("host") or "the local socket"
    port = f":{url.port}" if url.port else ""
    return f"{host}{port}/{url.database or ''}"


@dataclass(frozen=True, slots=True)
class Login:
    """The database user of the configured URL, with what could weaken row-level security.

    `powers` describes rights that bypass row-level security, such as superuser. `roles_lacking` are roles that the user
    cannot switch to. `tables_open` are tables that have an organisation column, but no row-level security.
    """

    user: str
    powers: tuple[str, ...]
    roles_lacking: tuple[str, ...]
    tables_open: tuple[str, ...]


_WHO = text("""
select current_user as name, rolsuper, rolbypassrls,
    coalesce((select pg_has_role(current_user, relowner, 'usage') from pg_class where oid = to_regclass('audit_log')),
        false) as owns
from pg_roles where rolname = current_user
""")

_MAY_TAKE_ON = text("""
select case when to_regrole(:role) is null then false else pg_has_role(current_user, to_regrole(:role), 'member') end
""")

_OPEN = text("""
select relname from pg_class
where relnamespace = current_schema()::regnamespace and relkind = 'r' and not relrowsecurity
    and exists (select from pg_attribute where attrelid = pg_class.oid and attname = 'organisation_id')
order by relname
""")


def login(database: Database) -> Login:
    """Return the database user and its rights. Raises a `PipelineError` such as `DatabaseAway` on a database error."""
    with database.unrestricted() as connection:
        who = connection.execute(_WHO).one()
        lacking = [role.value for role in DatabaseRole if not connection.scalar(_MAY_TAKE_ON, {"role": role.value})]
        tables = connection.scalars(_OPEN).all()
    powers = {"is a superuser": who.rolsuper, "may pass by policies": who.rolbypassrls, "owns the tables": who.owns}
    return Login(who.name, tuple(power for power, has in powers.items() if has), tuple(lacking), tuple(tables))


_T = TypeVar("_T")

RETRY_PAUSES = (1.0, 4.0, 15.0, 40.0)
"""The waits before each repetition, in seconds. Their sum, one minute, is about the time of a PostgreSQL failover."""


@dataclass(frozen=True, slots=True)
class DatabaseRetry:
    """Repeats steps that raise `errors.Interrupted`, for example because PostgreSQL restarts.

    Threads may share it. Once a step has failed after all pauses, later steps are no longer repeated.
    """

    pauses: Sequence[float] = RETRY_PAUSES
    over: Event = field(default_factory=Event)
    """Set this event to end the current pause and to raise its error."""
    _in_vain: Event = field(default_factory=Event)

    def do(self, step: Callable[[], _T]) -> _T:
        """Run the step, and repeat it after each pause while it raises `errors.Interrupted`. Return its result.

        Raises `Interrupted` if the step still fails after the last pause. Other errors are raised at once.
        """
        for pause in () if self._in_vain.is_set() else self.pauses:
            try:
                return step()
            except Interrupted:
                if self.over.wait(pause):
                    raise
        try:
            return step()
        except Interrupted:
            self._in_vain.set()
            raise
