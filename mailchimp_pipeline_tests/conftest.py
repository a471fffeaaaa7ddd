"""PostgreSQL for tests: one server for the session and a migrated database for each test.

The tests see neither the developer's environment variables nor a `.env` file. The options of `make ordeal`, the
summary of its figures and Hypothesis's profile for new examples are here as well.
"""

import os
from collections.abc import Callable, Generator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from sqlalchemy import make_url

from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.embedded.postgres import EmbeddedServer

settings.register_profile("new", deadline=None, suppress_health_check=[HealthCheck.too_slow])

_TEMPLATE = "migrated"

_MEMORY = Path("/dev/shm")  # noqa: S108 - Linux keeps it in memory; the directory made there is nobody else's
_ROOM_BYTES = 4 * 2**30
_FIGURES = "figures"
_NOT_FOR_TESTS = ("MAILCHIMP_", "DAGSTER_", "PG")
"""The prefixes of variables that the settings, Dagster or PostgreSQL's clients read."""


def pytest_configure() -> None:
    """Remove the developer's settings from the environment. Each test sets what it needs."""
    for name in [name for name in os.environ if name.startswith(_NOT_FOR_TESTS)]:
        del os.environ[name]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of `make ordeal`."""
    group = parser.getgroup("ordeal", "how much the suites of faults and kills try")
    group.addoption("--mixes", type=int, default=1, help="Mixes of faults at Mailchimp, 20,000 contacts each.")
    group.addoption("--kills", type=int, default=8, help="Processes that are killed at random moments.")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures at the end: pytest hides the output of tests that pass."""
    reports = (report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind))
    lines = [line for report in reports for name, line in report.user_properties if name == _FIGURES]
    if lines:
        terminalreporter.section(_FIGURES)
        for line in lines:
            terminalreporter.write_line(str(line))


@pytest.fixture(scope="session", autouse=True)
def empty_directory(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Run every test in an empty directory, without the project's `.env` file."""
    directory = tmp_path_factory.mktemp("nowhere")
    with chdir(directory):
        yield directory


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Return a function that adds a line of figures to the summary."""
    return partial(record_property, _FIGURES)


@dataclass(frozen=True)
class PostgresServer:
    """A running server. The database `migrated` is a template with all tables and no connections."""

    url: str
    numbers: "count[int]"

    def url_of(self, name: str) -> str:
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def create(self, template: str = "template1") -> str:
        """Create a database and return its name."""
        name = f"test_{next(self.numbers)}"
        self.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        return name

    def drop(self, name: str) -> None:
        self.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def execute(self, statement: sql.SQL | sql.Composed) -> None:
        address = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def server_directory(prefix: str) -> Generator[Path]:
    """Yield a directory for a server, in memory if possible: `initdb` writes a thousand files."""
    in_memory = _MEMORY.is_dir() and disk_usage(_MEMORY).free > _ROOM_BYTES
    with TemporaryDirectory(prefix=prefix, dir=_MEMORY if in_memory else None, ignore_cleanup_errors=True) as home:
        yield Path(home)


@pytest.fixture(scope="session")
def postgres_home() -> Generator[Path]:
    """Return the data directory of the session's server."""
    with server_directory("postgres-") as home:
        yield home


@pytest.fixture(scope="session")
def postgres_server(postgres_home: Path) -> Generator[PostgresServer]:
    """Return a server without fsync, which is faster."""
    with EmbeddedServer(postgres_home) as embedded:
        server = PostgresServer(embedded.database_url, count(1))
        server.execute(sql.SQL("alter system set fsync = off"))
        server.execute(sql.SQL("select pg_reload_conf()"))
        server.execute(sql.SQL("create database {}").format(sql.Identifier(_TEMPLATE)))
        migrate(server.url_of(_TEMPLATE))
        yield server


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Generator[str]:
    """Return the URL of a database without tables."""
    name = postgres_server.create()
    yield postgres_server.url_of(name)
    postgres_server.drop(name)


@pytest.fixture
def database_url(postgres_server: PostgresServer) -> Generator[str]:
    """Return the URL of a migrated database without rows."""
    name = postgres_server.create(_TEMPLATE)
    yield postgres_server.url_of(name)
    postgres_server.drop(name)


@pytest.fixture
def database(database_url: str) -> Generator[Database]:
    """Return a migrated database without rows."""
    with Database(database_url) as opened:
        yield opened
