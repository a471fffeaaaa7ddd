"""The pipeline with Dagster's daemon, and a run that is killed during its push."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mailchimp_pipeline_tests.database.builders import LIST
from mailchimp_pipeline_tests.running_pipeline import HELD_CONTACTS, PEOPLE, running_pipeline
from sandbox import Status


@pytest.mark.slow
def test_a_killed_run_is_retried_without_its_deleted_segment_and_sends_no_contact_twice() -> None:
    with (
        TemporaryDirectory(prefix="killed-", ignore_cleanup_errors=True) as home,
        running_pipeline(Path(home)) as pipeline,
    ):
        pipeline.wait_for_first_batch()
        pipeline.kill_run()
        pipeline.delete_empty_segment()
        recorded, received = pipeline.recorded_hashes(), pipeline.sandbox.counts().total.contacts_received
        assert 0 < len(recorded) < PEOPLE
        assert received - len(recorded) <= HELD_CONTACTS
        pipeline.release_mailchimp()

        pipeline.wait_until(pipeline.is_synced)
        pipeline.wait_until(lambda: pipeline.runs() == [("SUCCESS", {pipeline.segment_id}), ("FAILURE", set())])
        sent = pipeline.send_counts()
        assert pipeline.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
        assert {sent[subscriber_hash] for subscriber_hash in recorded} == {1}
        assert sum(sent.values()) - PEOPLE <= HELD_CONTACTS
