"""Two of Dagster's daemons by mistake, of which one is killed: whoever is left does the work, once.

It waits for what daemons wait for; that nobody is killed is a part of `make ordeal` alone.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mailchimp_pipeline.local.stack import workspace_arguments
from mailchimp_pipeline.sync import CONNECTIONS
from mailchimp_pipeline_tests.database.builders import LIST
from mailchimp_pipeline_tests.process_table import called
from mailchimp_pipeline_tests.running import PEOPLE, UNDER_WAY, running
from mailchimp_pipeline_tests.waiting import START_SECONDS, eventually
from sandbox import Status


@pytest.mark.slow
@pytest.mark.parametrize("killed", [None, 0])
def test_two_daemons_do_the_work_once_also_where_one_is_killed(
    killed: int | None, pytestconfig: pytest.Config, tell: Callable[[str], None]
) -> None:
    if killed is None and pytestconfig.option.kills < 50:
        pytest.skip("a part of `make ordeal`")
    with TemporaryDirectory(prefix="two-", ignore_cleanup_errors=True) as home, running(Path(home)) as it:
        it.stack.start("second-daemon", "dagster-daemon", "run", *workspace_arguments())
        written = it.wait_for_the_first_batch()
        if killed is not None:
            called("dagster-daemon")[killed].kill()
        it.let_go()
        # Not `it.wait_until`, to which a daemon that was killed is a part that has ended.
        eventually(it.is_done, START_SECONDS)
        sent, traffic = it.sent(), it.sandbox.counts().total
        tell(f"two daemons, {'one' if killed is not None else 'none'} killed: {sum(sent.values()) - PEOPLE} sent again")
        assert it.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
        assert {sent[key] for key in written} == {1}
        assert sum(sent.values()) - PEOPLE <= UNDER_WAY
        assert (traffic.peak_connections <= CONNECTIONS, traffic.answers(429)) == (True, 0)
