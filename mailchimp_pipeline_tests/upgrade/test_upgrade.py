"""A migration while the pipeline works: no request fails or waits long, and syncs continue."""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from mailchimp_pipeline.database.migrations import (
    current_revision,
    expected_revision,
    migrate,
    require_tables,
)
from mailchimp_pipeline.database.migrations.patience import TableInUse, run_briefly
from mailchimp_pipeline.database.session import Database, DatabaseNotMigrated
from mailchimp_pipeline_tests.api.procedures.stage import Stage, a_stage, a_tenant
from mailchimp_pipeline_tests.api.trpc.wire import send
from mailchimp_pipeline_tests.database.builders import ACME
from mailchimp_pipeline_tests.database.lock_waits import has_lock_waiter
from mailchimp_pipeline_tests.upgrade.traffic import Traffic, open_read_transaction
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually
from sandbox import Sandbox

FORMER = "0001"
LONGEST_WAIT_SECONDS = 30.0
"""A request that waited for the reader, rather than for one attempt of the migration, would take longer."""


@pytest.fixture
def stage_before_migration(empty_database_url: str, tmp_path: Path) -> Generator[Stage]:
    """Return an API with the tables of the first version."""
    migrate(empty_database_url, FORMER)
    with Sandbox.running() as sandbox, a_stage(empty_database_url, tmp_path, sandbox) as stage:
        yield stage


def test_no_request_fails_during_a_migration(stage_before_migration: Stage) -> None:
    tenant = a_tenant(stage_before_migration)
    tenant.add_employees(*({"department": "Sales"} for _ in range(20)), *({"department": "Support"} for _ in range(20)))
    sales = {"name": "Sales", "segmentType": "employee", "filterCriteria": {"department": "Sales"}}
    traffic = Traffic(tenant, sales, opt_out_ids=[str(number) for number in range(21, 41)])
    with traffic.running(), ThreadPoolExecutor(1) as pool:
        with open_read_transaction(stage_before_migration.parts.database_url):
            migrating = pool.submit(migrate, stage_before_migration.parts.database_url)
            eventually(lambda: has_lock_waiter(stage_before_migration.parts.database, kind="relation"))
        migrating.result()
        traffic.wait_for_progress()
    assert current_revision(stage_before_migration.parts.database) == expected_revision()
    assert (traffic.failed_answers, traffic.slowest < LONGEST_WAIT_SECONDS) == ([], True)
    assert_all_recorded(traffic)


def assert_all_recorded(traffic: Traffic) -> None:
    tenant = traffic.tenant
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        created_segments = {str(row) for row in session.scalars(text("select id from contact_segments"))}
        opted_out = set(session.scalars(text("select entity_id from email_preferences where not opted_in")))
    assert traffic.created_segments < created_segments
    assert traffic.opted_out == opted_out
    assert (len(traffic.created_segments) > 2, len(opted_out) > 2, traffic.errors) == (True, True, {None})
    assert traffic.sync_once("last") is None
    assert len(tenant.stage.sandbox.members(tenant.list_id)) == 20


def test_the_api_is_not_ready_before_the_migration(stage_before_migration: Stage) -> None:
    assert send(stage_before_migration.port, "/readyz", "GET", None, {}).status == 503
    assert send(stage_before_migration.port, "/healthz", "GET", None, {}).status == 200
    assert a_tenant(stage_before_migration).connect().status == 503
    migrate(stage_before_migration.parts.database_url)
    eventually(lambda: send(stage_before_migration.port, "/readyz", "GET", None, {}).status == 200)


def test_tables_of_a_later_version_serve_and_those_of_an_earlier_one_do_not(empty_database_url: str) -> None:
    with Database(empty_database_url) as database:
        for revision in (None, FORMER):
            if revision:
                migrate(empty_database_url, revision)
            with pytest.raises(DatabaseNotMigrated, match="mailchimp-pipeline migrate"):
                require_tables(database)
        migrate(empty_database_url)
        with database.unrestricted() as connection, connection.begin():
            connection.execute(text("update mailchimp_pipeline_revision set version_num = '9999'"))
        require_tables(database)


def test_a_migration_gives_up_on_a_table_in_use_and_can_be_repeated(empty_database_url: str) -> None:
    migrate(empty_database_url, FORMER)
    change = "alter table audience_reads add column more text"
    with Database(empty_database_url) as database, database.unrestricted() as reader:
        reader.execute(text("select 1 from audience_reads"))
        with database.dedicated() as connection, pytest.raises(TableInUse, match="audience_reads in use for 0 s"):
            run_briefly(connection, change, what="the table audience_reads", seconds=0)
        reader.rollback()
    migrate(empty_database_url)
    with Database(empty_database_url) as database:
        require_tables(database)


def test_an_interrupted_migration_is_run_again(empty_database_url: str) -> None:
    migrate(empty_database_url)
    with Database(empty_database_url) as database:
        with database.unrestricted() as connection, connection.begin():
            connection.execute(text("update mailchimp_pipeline_revision set version_num = '0005'"))
        migrate(empty_database_url)
        require_tables(database)
        with database.organisation(ACME) as session:
            assert session.scalar(text("select current_user")) == "mailchimp_pipeline_app"


def test_a_query_waits_no_longer_than_one_attempt_of_a_migration(database: Database) -> None:
    def change() -> None:
        with database.dedicated() as connection:
            run_briefly(connection, "lock table audience_reads in access exclusive mode", what="it")

    with ThreadPoolExecutor(1) as pool:
        with database.organisation(ACME) as reader:
            reader.execute(text("select 1 from audience_reads"))
            changing = pool.submit(change)
            eventually(lambda: has_lock_waiter(database, kind="relation"))
            begun = time.monotonic()
            with database.organisation(ACME) as session:
                session.execute(text(f"set local statement_timeout = '{2 * TIMEOUT_SECONDS:.0f}s'"))
                session.execute(text("select 1 from audience_reads"))
            waited = time.monotonic() - begun
        changing.result(TIMEOUT_SECONDS)
    assert waited < LONGEST_WAIT_SECONDS
