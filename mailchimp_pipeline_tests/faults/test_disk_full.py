"""A full disk under a membership or a push: a clear error, and no partial writes.

The full disk is a small file system in memory, which only root can create.
"""

import os
import subprocess
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import func, select, text

from mailchimp_pipeline.database.session import Database, DatabaseFull
from mailchimp_pipeline.database.tables import AudienceMemberRow, SegmentMemberRow
from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline.sync.audience import KnownStatus
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.database.builders import ACME, LIST
from mailchimp_pipeline_tests.faults.scenario import FaultScenario, fault_scenario
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

PEOPLE = 6000
ROOM = "512k"
TEMPORARY_TABLES = "alter database %I set temp_tablespaces = %I"

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file system")


@pytest.fixture
def small_disk(postgres_server: PostgresServer, postgres_home: Path, database: Database) -> Generator[str]:
    """Return a tablespace on a small disk."""
    owner = (postgres_home / "postgresql").stat()
    name = sql.Identifier("small")
    with ExitStack() as stack:
        place = stack.enter_context(TemporaryDirectory(prefix="small-disk-"))
        Path(place).chmod(0o755)
        options = f"size={ROOM},mode=700,uid={owner.st_uid},gid={owner.st_gid}"
        made = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
        if subprocess.run(made, check=False, capture_output=True).returncode:
            pytest.skip("root may make no file system here")
        stack.callback(subprocess.run, ["umount", place], check=True)
        postgres_server.execute(sql.SQL("create tablespace {} location {}").format(name, sql.Literal(place)))
        stack.callback(postgres_server.execute, sql.SQL("drop tablespace {}").format(name))
        postgres_server.execute(sql.SQL("grant create on tablespace {} to public").format(name))
        yield "small"
        database.close()
        run(database, "alter table audience_members set tablespace pg_default")


def run(database: Database, statement: str) -> None:
    """Run a statement as the server's owner."""
    with database.unrestricted() as connection:
        connection.execute(text(statement))
        connection.commit()


def members(scenario: FaultScenario) -> int:
    """Count the segment's members."""
    with scenario.database.organisation(ACME) as session:
        return session.scalars(select(func.count()).select_from(SegmentMemberRow)).one()


def pushed_count(scenario: FaultScenario) -> int:
    """Count the subscribed members in the ledger."""
    is_subscribed = AudienceMemberRow.status == KnownStatus.SUBSCRIBED.value
    query = select(func.count()).select_from(AudienceMemberRow).where(is_subscribed)
    with scenario.database.organisation(ACME) as session:
        return session.scalars(query).one()


@only_root
def test_a_full_disk_keeps_the_former_membership(database: Database, small_disk: str) -> None:
    with fault_scenario(database, 300, Retries(), 5) as scenario:
        assert scenario.sync().error is None
        before = members(scenario)
        scenario.people |= {
            n: {**scenario.people[0], "id": str(n), "email": f"q{n}@acme.test"} for n in range(1000, PEOPLE)
        }
        run(database, f"do $$ begin execute format({TEMPORARY_TABLES!r}, current_database(), '{small_disk}'); end $$")
        database.close()
        assert "no room left on its disk" in (scenario.sync().error or "")
        assert (members(scenario), len(scenario.sandbox.members(LIST))) == (before, before)


@only_root
def test_a_full_disk_stops_the_push_and_the_next_push_finishes(database: Database, small_disk: str) -> None:
    with fault_scenario(database, PEOPLE, Retries(), TIMEOUT_SECONDS) as scenario:
        run(database, f"alter table audience_members set tablespace {small_disk}")
        assert "no room left on its disk" in (scenario.sync().error or "")
        assert pushed_count(scenario) < PEOPLE
        run(database, "alter table audience_members set tablespace pg_default")
        assert (scenario.sync().error, not +scenario.deviations()) == (None, True)


def test_a_full_disk_error_names_the_disk(database: Database) -> None:
    with pytest.raises(DatabaseFull, match="no room left on its disk"), database.translated_errors():
        raise psycopg.errors.DiskFull("could not extend file")
