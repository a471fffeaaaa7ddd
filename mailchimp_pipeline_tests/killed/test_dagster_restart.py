"""PostgreSQL is killed under Dagster's daemon and a run: the run still finishes."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mailchimp_pipeline_tests.database.builders import LIST
from mailchimp_pipeline_tests.killed.server import KillableServer
from mailchimp_pipeline_tests.running_pipeline import HELD_CONTACTS, PEOPLE, running_pipeline
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, eventually
from sandbox import Status


@pytest.mark.slow
def test_a_dagster_run_finishes_although_its_database_was_killed(report: Callable[[str], None]) -> None:
    with (
        TemporaryDirectory(prefix="dagster-", ignore_cleanup_errors=True) as home,
        ExitStack() as held,
        running_pipeline(Path(home)) as pipeline,
    ):
        recorded, server = pipeline.wait_for_first_batch(), KillableServer(Path(home), "", held)
        server.kill()
        server.restart()
        pipeline.release_mailchimp()
        # `wait_until` would fail if a part of Dagster ends with its database.
        eventually(pipeline.is_synced, START_TIMEOUT_SECONDS)
        sent = pipeline.send_counts()
        again = [key for key, times in sent.items() if times > 1]
        report(f"PostgreSQL killed under Dagster and its run: {len(again)} of {PEOPLE} were under way and sent again")
        assert pipeline.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
        assert not recorded & set(again)
        assert len(again) <= HELD_CONTACTS
