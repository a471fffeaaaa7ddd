"""The whole pipeline with Dagster's daemon, and a run that is killed in the middle of its push."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mailchimp_pipeline_tests.database.builders import LIST
from mailchimp_pipeline_tests.running import PEOPLE, UNDER_WAY, running
from sandbox import Status


@pytest.mark.slow
def test_a_killed_run_is_taken_up_again_without_a_segment_that_was_deleted_and_sends_nobody_twice() -> None:
    with TemporaryDirectory(prefix="killed-", ignore_cleanup_errors=True) as home, running(Path(home)) as it:
        it.wait_for_the_first_batch()
        it.kill_the_run()
        it.delete_the_empty_segment()
        written, received = it.written(), it.sandbox.counts().total.contacts_received
        assert 0 < len(written) < PEOPLE
        assert received - len(written) <= UNDER_WAY
        it.let_go()

        it.wait_until(it.is_done)
        it.wait_until(lambda: it.runs() == [("SUCCESS", {it.segment_id}), ("FAILURE", set())])
        sent = it.sent()
        assert it.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
        assert {sent[subscriber_hash] for subscriber_hash in written} == {1}
        assert sum(sent.values()) - PEOPLE <= UNDER_WAY
