"""A PostgreSQL server that tests kill and restart."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg
from psycopg import sql
from sqlalchemy import make_url

from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline_tests.process_table import is_running
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually


@dataclass(frozen=True)
class KillableServer:
    """The server. `url` is the URL of the migrated pipeline database."""

    home: Path
    url: str
    held: ExitStack

    @property
    def postmaster(self) -> psutil.Process:
        """The parent of all server processes."""
        return psutil.Process(int((self.home / "postgresql" / "postmaster.pid").read_text().split()[0]))

    def kill(self) -> None:
        """Kill all server processes, as a power cut does."""
        first = self.postmaster
        # A suspended postmaster starts no process that would survive and keep the shared memory.
        first.suspend()
        every = [first, *first.children(recursive=True)]
        for process in every:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        eventually(lambda: not any(map(is_running, every)))
        # A new server takes a zombie for a running server.
        first.wait(TIMEOUT_SECONDS)

    def restart(self) -> None:
        """Restart the server on the same data."""
        self.held.enter_context(EmbeddedServer(self.home))


@contextmanager
def killable_server() -> Generator[KillableServer]:
    """Yield a server with fsync off, which loses nothing when its processes are killed."""
    with TemporaryDirectory(prefix="mortal-", ignore_cleanup_errors=True) as home, ExitStack() as held:
        url = held.enter_context(EmbeddedServer(Path(home))).database_url
        address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(sql.SQL("alter system set fsync = off"))
            connection.execute(sql.SQL("select pg_reload_conf()"))
        migrate(url)
        yield KillableServer(Path(home), url, held)
