"""A production pipeline with pending work, and environment variables that point to it.

The demo and the tests must never read these variables.
"""

import json
import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erasure_store import DatabaseErasures
from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline.erasure import Demand
from mailchimp_pipeline_tests.conftest import server_directory
from mailchimp_pipeline_tests.database.builders import ACME, AT, a_connection, a_segment
from mailchimp_pipeline_tests.runs.company import KEYS

Snapshot = Mapping[str, object]


@dataclass(frozen=True)
class ProductionPipeline:
    """A production pipeline: a database, files, and a port in place of Mailchimp."""

    server: EmbeddedServer
    home: Path
    listener: socket.socket

    @property
    def variables(self) -> dict[str, str]:
        """Every variable of the settings, with a value of this pipeline or an invalid one."""
        url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        return {
            "MAILCHIMP_PIPELINE_DATABASE_URL": self.server.database_url,
            "DAGSTER_POSTGRES_URL": self.server.dagster_url,
            "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS,
            "MAILCHIMP_PIPELINE_TOKEN_SECRET": "s" * 40,
            # The two exclude each other, so reading both fails at once.
            "MAILCHIMP_PIPELINE_JWKS_URL": f"{url}/jwks.json",
            "MAILCHIMP_PIPELINE_TOKEN_ISSUER": "https://login.example.com/",
            "MAILCHIMP_PIPELINE_CORS_ORIGINS": "https://dashboard.example.com",
            "MAILCHIMP_PIPELINE_SOURCE": str(self.home / "no-such-directory"),
            "MAILCHIMP_PIPELINE_EMPLOYEES": "SELECT * FROM nothing",
            "MAILCHIMP_PIPELINE_VENDORS": "nothing",
            "MAILCHIMP_API_ROOT": f"{url}/3.0",
            "MAILCHIMP_PROXY": url,
            "MAILCHIMP_PIPELINE_PUBLIC_URL": url,
            "MAILCHIMP_PIPELINE_CAMPAIGN_SETTLE_DAYS": "365",
            "MAILCHIMP_PIPELINE_DASHBOARD_TRANSLATION": "/nowhere/de.mo",
            "MAILCHIMP_PIPELINE_DAGSTER_RUN_RETENTION_DAYS": "7",
            "MAILCHIMP_PIPELINE_SYNC_REQUEST_RETENTION_DAYS": "7",
            "MAILCHIMP_PIPELINE_CAMPAIGN_STATS_RETENTION_DAYS": "7",
            "MAILCHIMP_PIPELINE_SHARED_ACCOUNTS": "true",
            "DAGSTER_HOME": str(self.home / "dagster-home"),
            "MAILCHIMP_PIPELINE_HOME": str(self.home / "state"),
            **{f"MAILCHIMP_PIPELINE_{part}_PORT": url.rpartition(":")[2] for part in ("API", "UI", "SANDBOX")},
        }

    @property
    def library_variables(self) -> dict[str, str]:
        """Variables that libraries read."""
        proxy = self.variables["MAILCHIMP_PROXY"]
        return {
            "PGHOST": "/nowhere",
            "PGPORT": "1",
            "PGSERVICE": "nothing",
            "PGOPTIONS": "-c no_such_setting=1",
            "PGSERVER_POSTGRES_VERSION": "16",
            "HTTP_PROXY": proxy,
            "HTTPS_PROXY": proxy,
            "ALL_PROXY": proxy,
            "DAGSTER_PROJECT_ENV_FILE_PATHS": json.dumps({"mailchimp_pipeline": str(self.home)}),
        }

    def write_env_file(self, directory: Path) -> None:
        """Write all variables to a `.env` file."""
        variables = self.variables | self.library_variables
        (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))

    def snapshot(self) -> Snapshot:
        """Return every row with its location and transaction, every file, and whether the port was called."""
        return {
            **_rows(self.server.database_url),
            **_rows(self.server.dagster_url.replace("+psycopg2", "+psycopg")),
            **{str(path): path.read_bytes() for path in _files(self.home)},
            "called": _was_called(self.listener),
        }


@contextmanager
def production_pipeline() -> Generator[ProductionPipeline]:
    """Yield a pipeline with a connected organisation, a waiting sync request and a pending erasure."""
    with (
        server_directory("real-") as home,
        EmbeddedServer(home / "server") as server,
        socket.create_server(("127.0.0.1", 0)) as listener,
    ):
        migrate(server.database_url)
        with Database(server.database_url) as database:
            a_connection(database, keyring=Keyring.parse(KEYS))
            segment = a_segment(database)
            with database.organisation(ACME) as session:
                assert SyncRequestStore(session).ask(segment.id, by="alice", at=AT)
            erasures = DatabaseErasures(database, Keyring.parse(KEYS), utc_now)
            erasures.ask(ACME, Demand(EntityType.EMPLOYEE, "1", (subscriber_hash("ann@acme.test"),), "alice"))
            assert erasures.pending()
        for name in ("dagster-home/dagster.yaml", "state/demo/kept", "state/sample/employees.csv"):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text("storage: {no_such_storage: {}}\n")
        real = ProductionPipeline(server, home, listener)
        real.write_env_file(home)
        yield real


def _rows(url: str) -> Snapshot:
    with Database(url) as database, database.unrestricted() as connection:
        names = connection.scalars(text("select tablename from pg_tables where schemaname = 'public'")).all()
        return {
            f"{url} {name}": connection.execute(
                text(f'select ctid::text, xmin::text, t::text from "{name}" t order by ctid')  # noqa: S608 - our tables
            ).all()
            for name in sorted(names)
        }


def _files(home: Path) -> list[Path]:
    server = home / "server"
    return [
        Path(directory) / name
        for directory, _, names in os.walk(home)
        for name in names
        if not Path(directory).is_relative_to(server)
    ]


def _was_called(listener: socket.socket) -> bool:
    listener.settimeout(0)
    with suppress(BlockingIOError):
        listener.accept()[0].close()
        return True
    return False
