"""Two of Dagster's daemons by mistake, of which one is killed: whoever is left does the work, once.

It waits for what daemons wait for; that nobody is killed is a part of `make ordeal` alone.
"""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from mailchimp_pipeline.database.requests import RequestStatus
from mailchimp_pipeline.local_stack import workspace_arguments
from mailchimp_pipeline.sandbox import Status
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.sync import CONNECTIONS
from mailchimp_pipeline_tests.database.builders import LIST
from mailchimp_pipeline_tests.test_killed_run import PEOPLE, UNDER_WAY, Running, running

PATIENCE_SECONDS = 300


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


def daemons() -> list[psutil.Process]:
    """Return the daemons that this process has started, the first one first."""
    mine = [child for child in psutil.Process().children() if "dagster-daemon" in " ".join(child.cmdline())]
    return sorted(mine, key=lambda child: child.create_time())


def is_done(it: Running) -> bool:
    request = it.request()
    return it.status() is SegmentStatus.SYNCED and request is not None and request.status is RequestStatus.DONE


@pytest.mark.slow
@pytest.mark.parametrize("killed", [None, 0])
def test_two_daemons_do_the_work_once_also_where_one_is_killed(
    killed: int | None, pytestconfig: pytest.Config, tell: Callable[[str], None]
) -> None:
    if killed is None and pytestconfig.option.kills < 50:
        pytest.skip("a part of `make ordeal`")
    with TemporaryDirectory(prefix="two-", ignore_cleanup_errors=True) as home, running(Path(home)) as it:
        it.stack.start("second-daemon", "dagster-daemon", "run", *workspace_arguments())
        wait_until(lambda: bool(it.written()))
        written = it.written()
        if killed is not None:
            daemons()[killed].kill()
        it.sandbox.configure(latency_ms=0, latency_per_contact_ms=0)
        wait_until(lambda: is_done(it))
        sent, traffic = it.sent(), it.sandbox.counts().total
        tell(f"two daemons, {'one' if killed is not None else 'none'} killed: {sum(sent.values()) - PEOPLE} sent again")
        assert it.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
        assert {sent[key] for key in written} == {1}
        assert sum(sent.values()) - PEOPLE <= UNDER_WAY
        assert (traffic.peak_connections <= CONNECTIONS, traffic.answers(429)) == (True, 0)
