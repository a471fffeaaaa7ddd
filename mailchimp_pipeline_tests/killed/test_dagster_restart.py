"""PostgreSQL is killed under Dagster's daemon and its run, whose storage it is too: the work is done all the same."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mailchimp_pipeline_tests.database.builders import LIST
from mailchimp_pipeline_tests.killed.server import MortalServer
from mailchimp_pipeline_tests.running import PEOPLE, UNDER_WAY, running
from mailchimp_pipeline_tests.waiting import START_SECONDS, eventually
from sandbox import Status


@pytest.mark.slow
def test_a_run_of_dagsters_is_done_though_its_database_was_killed(tell: Callable[[str], None]) -> None:
    with (
        TemporaryDirectory(prefix="dagster-", ignore_cleanup_errors=True) as home,
        ExitStack() as held,
        running(Path(home)) as it,
    ):
        written, server = it.wait_for_the_first_batch(), MortalServer(Path(home), "", held)
        server.kill()
        server.revive()
        it.let_go()
        # Not `it.wait_until`: which parts of Dagster's outlive its database is not what is asked here.
        eventually(it.is_done, START_SECONDS)
        sent = it.sent()
        again = [key for key, times in sent.items() if times > 1]
        tell(f"PostgreSQL killed under Dagster and its run: {len(again)} of {PEOPLE} were under way and sent again")
        assert it.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
        assert not written & set(again)
        assert len(again) <= UNDER_WAY
