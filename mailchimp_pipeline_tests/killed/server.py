"""A PostgreSQL server of its own, to be killed with all its processes, and started again."""

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
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS, eventually


@dataclass(frozen=True)
class MortalServer:
    """The server; `url` is that of the pipeline's database with all tables."""

    home: Path
    url: str
    held: ExitStack

    @property
    def postmaster(self) -> psutil.Process:
        """The process that all others come from."""
        return psutil.Process(int((self.home / "postgresql" / "postmaster.pid").read_text().split()[0]))

    def kill(self) -> None:
        """Kill the whole server, as a power cut does."""
        first = self.postmaster
        # It starts no other process while they are listed: one that lived on would keep the memory they share.
        first.suspend()
        every = [first, *first.children(recursive=True)]
        for process in every:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        eventually(lambda: not any(map(is_running, every)))
        # Until somebody has collected it, who starts the server takes it for running.
        first.wait(PATIENCE_SECONDS)

    def revive(self) -> None:
        """Start it again where it was killed."""
        self.held.enter_context(EmbeddedServer(self.home))


@contextmanager
def mortal_server() -> Generator[MortalServer]:
    """Yield a server that forgets nothing when its processes are killed, though it does not wait for the disk."""
    with TemporaryDirectory(prefix="mortal-", ignore_cleanup_errors=True) as home, ExitStack() as held:
        url = held.enter_context(EmbeddedServer(Path(home))).database_url
        address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(sql.SQL("alter system set fsync = off"))
            connection.execute(sql.SQL("select pg_reload_conf()"))
        migrate(url)
        yield MortalServer(Path(home), url, held)
