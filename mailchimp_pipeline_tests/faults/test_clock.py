"""A clock that jumps: no contact is lost, and no consent statement is missed."""

from collections.abc import Generator
from datetime import timedelta
from itertools import cycle

import pytest

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline_tests.faults.scenario import FaultScenario, fault_scenario
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

PEOPLE = 400


@pytest.fixture
def scenario(database: Database) -> Generator[FaultScenario]:
    """Return employees, some of which are members at Mailchimp."""
    with fault_scenario(database, PEOPLE, Retries(), TIMEOUT_SECONDS) as made:
        yield made


def clock_off_by(*days: int) -> Clock:
    """Return a clock that is wrong by these days in turn."""
    errors = cycle(days)
    return lambda: utc_now() + timedelta(days=next(errors))


@pytest.mark.parametrize("days", [400, -400])
def test_opt_outs_under_a_wrong_clock_are_pulled_once_the_clock_is_right(scenario: FaultScenario, days: int) -> None:
    scenario.clock = clock_off_by(days)
    assert scenario.sync().error is None
    scenario.clock = utc_now
    scenario.unsubscribe(range(20))
    scenario.change_last_names(range(20, 40))
    assert (scenario.sync().error, not +scenario.deviations()) == (None, True)


def test_a_jumping_clock_loses_no_contact(scenario: FaultScenario) -> None:
    scenario.clock = clock_off_by(0, 1, -1, 30)
    assert scenario.sync().error is None
    scenario.opt_out(range(300, 310), known_there=True)
    scenario.remove_employees(range(310, 320))
    assert (scenario.sync().error, not +scenario.deviations()) == (None, True)
