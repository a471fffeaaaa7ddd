"""Mailchimp is away altogether: the segment says so in time, and the next run does the work."""

import pytest

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline_tests.faults.staff import LIST, a_staff
from mailchimp_pipeline_tests.mailchimp.builders import Time
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS
from sandbox import FaultKind, Status

PEOPLE = 1200
BUDGET_SECONDS = 300.0


@pytest.mark.parametrize("kind", [FaultKind.CUT, FaultKind.BAD_GATEWAY, FaultKind.BLOCKED, FaultKind.EMPTY])
def test_during_an_outage_the_segment_ends_in_error_in_time_and_the_next_run_finishes(
    database: Database, kind: FaultKind
) -> None:
    when = Time()
    with a_staff(database, PEOPLE, when.retries(BUDGET_SECONDS), PATIENCE_SECONDS) as staff:
        staff.sandbox.start_outage(kind)
        failed = staff.sync()
        assert 0 < when.now <= BUDGET_SECONDS
        assert "Mailchimp" in (failed.error or "")
        assert "Try again later" in (failed.error or "")
        staff.sandbox.end_outage()
        assert (staff.sync().error, not +staff.wrongs()) == (None, True)


def test_an_outage_in_the_middle_of_a_push_keeps_what_was_sent(database: Database) -> None:
    with a_staff(database, PEOPLE, Time().retries(BUDGET_SECONDS), PATIENCE_SECONDS) as staff:
        staff.go_away_after_batches(2)
        failed = staff.sync()
        assert (staff.stored().status, staff.stored().last_error) == (SegmentStatus.ERROR, failed.error)
        assert 0 < staff.sandbox.statuses(LIST)[Status.SUBSCRIBED] - 300 < PEOPLE
        staff.sandbox.clear_faults()
        assert (staff.sync().error, not +staff.wrongs()) == (None, True)
