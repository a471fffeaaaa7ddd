"""Answers lost between Mailchimp and the ledger, and consent statements made meanwhile."""

from datetime import timedelta

import pytest

from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline_tests.mailchimp.builders import Time, a_client
from mailchimp_pipeline_tests.sync.scenario import ANN, BATCH, BOB, LIST, MEMBER, SyncScenario, people
from sandbox import Fault, FaultKind, Status


def lose_the_answer(scenario: SyncScenario, method: str = "POST") -> None:
    """Let Mailchimp process the next such call and cut the connection."""
    scenario.sandbox.add_fault(Fault(kind=FaultKind.CUT, method=method, times=1, applied=True))


@pytest.fixture(params=[True, False], ids=["asked to confirm", "subscribed"])
def unheard(scenario: SyncScenario, request: pytest.FixtureRequest) -> SyncScenario:
    """Return the scenario after a push of Ann that the ledger did not record."""
    if request.param:
        scenario.enable_double_opt_in()
    scenario.set_employees(ANN, BOB)
    lose_the_answer(scenario)
    assert "Mailchimp" in (scenario.result().error or "")
    assert scenario.status(ANN) is (Status.PENDING if request.param else Status.SUBSCRIBED)
    return scenario


def test_repeating_a_processed_call_does_no_harm(unheard: SyncScenario) -> None:
    report = unheard.sync()
    assert (report.wanted, report.new, len(unheard.sandbox.members(LIST))) == (2, 0, 2)
    assert unheard.sync().calls == 0


def test_an_opt_out_after_a_lost_answer_is_pushed_by_the_next_sync(unheard: SyncScenario) -> None:
    unheard.state_preference("1", opted_in=False)
    unheard.sync()
    assert unheard.status(ANN) is Status.UNSUBSCRIBED


def test_an_opt_out_of_a_leaver_after_a_lost_answer_is_pushed(unheard: SyncScenario) -> None:
    unheard.sync()
    unheard.source.relations = {kind: frame.iloc[1:] for kind, frame in unheard.source.relations.items()}
    unheard.sync()
    unheard.state_preference("1", opted_in=False)
    unheard.sync()
    assert unheard.status(ANN) is Status.UNSUBSCRIBED


def test_a_change_of_address_with_a_lost_answer_counts_as_ours(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN)
    scenario.sync()
    scenario.set_employees("ann@new.test")
    lose_the_answer(scenario, "PATCH")
    assert scenario.result().error
    report = scenario.sync()
    assert (report.withheld, report.in_audience, len(scenario.sandbox.members(LIST))) == ({}, 1, 1)


def test_a_leaver_archived_with_a_lost_answer_returns_with_the_segment(scenario: SyncScenario) -> None:
    scenario.archive_on_leave()
    scenario.set_employees(ANN, BOB)
    scenario.sync()
    scenario.set_employees(ANN)
    lose_the_answer(scenario, "DELETE")
    assert scenario.result().error
    scenario.sync()
    scenario.set_employees(ANN, BOB)
    assert (scenario.sync().new, scenario.status(BOB)) == (1, Status.SUBSCRIBED)


def resent(scenario: SyncScenario, count: int) -> SyncScenario:
    """Return the scenario before a batch of this size is repeated because its answer is lost."""
    scenario.set_employees(*people(count))
    scenario.client = a_client(scenario.sandbox.api_root, retries=Time().retries())
    lose_the_answer(scenario)
    return scenario


@pytest.mark.parametrize(("count", "looked_up"), [(400, 0), (3, 3)])
def test_a_batch_with_a_lost_answer_is_found_in_the_latest_changes_or_by_lookups(
    scenario: SyncScenario, count: int, looked_up: int
) -> None:
    report = resent(scenario, count).sync()
    assert (report.wanted, report.changed, report.new) == (count, count, 0)
    assert scenario.calls("GET", MEMBER) == looked_up


def test_a_contact_missing_in_the_latest_changes_is_looked_up(scenario: SyncScenario) -> None:
    scenario.sandbox.configure(clock_ahead_seconds=-timedelta(days=1).total_seconds())
    assert resent(scenario, 20).sync().changed == 20
    assert scenario.calls("GET", MEMBER) == 20


def test_a_member_who_left_after_a_lost_answer_is_not_resubscribed(scenario: SyncScenario) -> None:
    resent(scenario, 20)
    scenario.before_call("POST", BATCH, lambda: scenario.sandbox.unsubscribe_by_link(LIST, "p7@acme.test"), nth=2)
    report = scenario.sync()
    assert (report.changed, report.withheld) == (19, {Rejection.UNSUBSCRIBED: 1})
    assert scenario.status("p7@acme.test") is Status.UNSUBSCRIBED
