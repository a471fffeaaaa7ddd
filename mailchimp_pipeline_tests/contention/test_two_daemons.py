"""Two Dagster daemons by mistake, one of which is killed: the other one does the work once.

Only `make ordeal` also runs the test without a kill.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mailchimp_pipeline.local.stack import workspace_arguments
from mailchimp_pipeline.sync import CONNECTIONS
from mailchimp_pipeline_tests.database.builders import LIST
from mailchimp_pipeline_tests.process_table import child_processes
from mailchimp_pipeline_tests.running_pipeline import HELD_CONTACTS, PEOPLE, running_pipeline
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, eventually
from sandbox import Status


@pytest.mark.slow
@pytest.mark.parametrize("killed", [None, 0])
def test_two_daemons_do_the_work_once_even_if_one_is_killed(
    killed: int | None, pytestconfig: pytest.Config, report: Callable[[str], None]
) -> None:
    if killed is None and pytestconfig.option.kills < 50:
        pytest.skip("a part of `make ordeal`")
    with (
        TemporaryDirectory(prefix="two-", ignore_cleanup_errors=True) as home,
        running_pipeline(Path(home)) as pipeline,
    ):
        pipeline.stack.start("second-daemon", "dagster-daemon", "run", *workspace_arguments())
        recorded = pipeline.wait_for_first_batch()
        if killed is not None:
            child_processes("dagster-daemon")[killed].kill()
        pipeline.release_mailchimp()
        # `wait_until` would fail because of the killed daemon.
        eventually(pipeline.is_synced, START_TIMEOUT_SECONDS)
        sent, traffic = pipeline.send_counts(), pipeline.sandbox.counts().total
        report(
            f"two daemons, {'one' if killed is not None else 'none'} killed: {sum(sent.values()) - PEOPLE} sent again"
        )
        assert pipeline.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
        assert {sent[key] for key in recorded} == {1}
        assert sum(sent.values()) - PEOPLE <= HELD_CONTACTS
        assert (traffic.peak_connections <= CONNECTIONS, traffic.answers(429)) == (True, 0)
