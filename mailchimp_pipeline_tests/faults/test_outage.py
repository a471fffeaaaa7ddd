"""An outage of Mailchimp: the segment ends in `error` within its time budget, and the next run finishes."""

import pytest

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline_tests.faults.scenario import LIST, fault_scenario
from mailchimp_pipeline_tests.mailchimp.builders import Time
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import FaultKind, Status

PEOPLE = 1200
BUDGET_SECONDS = 300.0


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.BAD_GATEWAY, FaultKind.BLOCKED, FaultKind.EMPTY])
def test_an_outage_ends_the_segment_in_error_within_its_budget_and_the_next_run_finishes(
    database: Database, kind: FaultKind
) -> None:
    when = Time()
    with fault_scenario(database, PEOPLE, when.retries(BUDGET_SECONDS), TIMEOUT_SECONDS) as scenario:
        scenario.sandbox.start_outage(kind)
        failed = scenario.sync()
        assert 0 < when.now <= BUDGET_SECONDS
        assert "Mailchimp" in (failed.error or "")
        assert "Try again later" in (failed.error or "")
        scenario.sandbox.end_outage()
        assert (scenario.sync().error, not +scenario.deviations()) == (None, True)


def test_an_outage_in_the_middle_of_a_push_keeps_what_was_sent(database: Database) -> None:
    with fault_scenario(database, PEOPLE, Time().retries(BUDGET_SECONDS), TIMEOUT_SECONDS) as scenario:
        scenario.fail_batches_after(2)
        failed = scenario.sync()
        assert (scenario.stored_segment().status, scenario.stored_segment().last_error) == (
            SegmentStatus.ERROR,
            failed.error,
        )
        assert 0 < scenario.sandbox.statuses(LIST)[Status.SUBSCRIBED] - 300 < PEOPLE
        scenario.sandbox.clear_faults()
        assert (scenario.sync().error, not +scenario.deviations()) == (None, True)
