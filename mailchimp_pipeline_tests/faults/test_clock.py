"""A machine whose clock jumps: nobody is lost, and no word said meanwhile is overheard."""

from collections.abc import Generator
from datetime import timedelta
from itertools import cycle

import pytest

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline_tests.faults.staff import Staff, a_staff
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS

PEOPLE = 400


@pytest.fixture
def staff(database: Database) -> Generator[Staff]:
    """Return employees of whom some are at Mailchimp."""
    with a_staff(database, PEOPLE, Retries(), PATIENCE_SECONDS) as made:
        yield made


def off_by(*days: int) -> Clock:
    """Return a clock that is wrong by so many days, another number each time it is asked."""
    errors = cycle(days)
    return lambda: utc_now() + timedelta(days=next(errors))


@pytest.mark.parametrize("days", [400, -400])
def test_who_left_while_the_clock_was_wrong_is_noticed_once_it_is_right(staff: Staff, days: int) -> None:
    staff.clock = off_by(days)
    assert staff.sync().error is None
    staff.clock = utc_now
    staff.unsubscribe(range(20))
    staff.marry(range(20, 40))
    assert (staff.sync().error, not +staff.wrongs()) == (None, True)


def test_a_clock_that_jumps_to_and_fro_during_a_sync_loses_nobody(staff: Staff) -> None:
    staff.clock = off_by(0, 1, -1, 30)
    assert staff.sync().error is None
    staff.opt_out(range(300, 310), known_there=True)
    staff.leave(range(310, 320))
    assert (staff.sync().error, not +staff.wrongs()) == (None, True)
