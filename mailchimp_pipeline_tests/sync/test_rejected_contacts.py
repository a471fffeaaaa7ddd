"""Rejected contacts: when they are sent again, and what a rejection does not prevent."""

from datetime import timedelta

from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline_tests.source_fake import an_employee
from mailchimp_pipeline_tests.sync.scenario import ANN, BOB, LIST, SyncScenario
from sandbox import Status

FAKE = "ann@example.com"
MINUTE = timedelta(minutes=1)


def with_a_rejected_change(scenario: SyncScenario) -> SyncScenario:
    """Return the scenario after a sync of Ann and Bob and a rejected change of Ann."""
    scenario.archive_on_leave()
    scenario.set_employees(ANN, BOB)
    scenario.sync()
    scenario.sandbox.add_merge_field(LIST, "BADGE", required=True)
    scenario.set_employees(an_employee(email=ANN, last_name="King"), an_employee(id="2", email=BOB))
    report = scenario.sync()
    assert (report.rejected, report.unchanged, scenario.status(ANN)) == (
        {Rejection.MERGE_FIELD: 1},
        1,
        Status.SUBSCRIBED,
    )
    return scenario


def test_a_contact_with_a_rejected_change_is_archived_after_leaving(scenario: SyncScenario) -> None:
    with_a_rejected_change(scenario).set_employees(an_employee(id="2", email=BOB))
    assert (scenario.sync().archived, scenario.status(ANN)) == (1, Status.ARCHIVED)


def test_a_contact_with_a_rejected_change_can_move(scenario: SyncScenario) -> None:
    with_a_rejected_change(scenario).set_employees("ann@new.test", BOB)
    assert scenario.sync().moved == 1
    assert (scenario.status(ANN), scenario.status("ann@new.test")) == (None, Status.SUBSCRIBED)
    assert len(scenario.sandbox.members(LIST)) == 2


def test_a_contact_with_a_rejected_change_is_unsubscribed_after_an_opt_out(scenario: SyncScenario) -> None:
    with_a_rejected_change(scenario).state_preference("1", opted_in=False)
    assert (scenario.result().unsubscribed, scenario.status(ANN)) == (1, Status.UNSUBSCRIBED)


def test_an_unsubscribe_after_a_rejection_withdraws_consent(scenario: SyncScenario) -> None:
    with_a_rejected_change(scenario).sandbox.unsubscribe_by_link(LIST, ANN)
    scenario.sync()
    assert scenario.members() == [BOB]
