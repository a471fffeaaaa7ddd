"""Members that changed address, opted out, returned or left take one call each."""

import pytest

from mailchimp_pipeline.mailchimp import MailchimpClient, ThreadSlots
from mailchimp_pipeline.sync import MemberRef, MemberStatus, Rejection
from mailchimp_pipeline_tests.database.builders import API_KEY
from mailchimp_pipeline_tests.source_fake import an_employee
from mailchimp_pipeline_tests.sync.scenario import ANN, BATCH, BOB, LIST, MEMBER, SyncScenario
from sandbox import SignupLimit, Status

NEW, FAKE = "ann@new.test", "ann@example.com"


def with_a_new_address(scenario: SyncScenario, new: str = NEW) -> SyncScenario:
    """Return the scenario after a sync of Ann and a change of her address in the source."""
    scenario.set_employees(ANN)
    scenario.sync()
    scenario.set_employees(new)
    return scenario


def test_a_new_address_moves_the_member(scenario: SyncScenario) -> None:
    report = with_a_new_address(scenario).sync()
    assert (report.moved, report.changed, report.new, report.wanted) == (1, 1, 0, 1)
    assert (scenario.status(ANN), scenario.status(NEW)) == (None, Status.SUBSCRIBED)
    assert scenario.sync().unchanged == 1


def test_a_pending_member_stays_pending_at_the_new_address(scenario: SyncScenario) -> None:
    scenario.enable_double_opt_in()
    report = with_a_new_address(scenario).sync()
    assert (report.moved, report.withheld, report.wanted) == (1, {Rejection.PENDING: 1}, 1)
    assert (scenario.status(ANN), scenario.status(NEW)) == (None, Status.PENDING)


def test_a_member_who_unsubscribes_before_a_move_stays_unsubscribed(scenario: SyncScenario) -> None:
    with_a_new_address(scenario)
    scenario.before_call("PATCH", MEMBER, lambda: scenario.sandbox.unsubscribe_by_link(LIST, ANN))
    report = scenario.sync()
    assert (report.moved, report.withheld) == (1, {Rejection.UNSUBSCRIBED: 1})
    assert scenario.status(NEW) is Status.UNSUBSCRIBED
    scenario.sync()
    assert scenario.members() == []


def test_a_former_address_that_mailchimp_does_not_know_makes_a_new_member(scenario: SyncScenario) -> None:
    with_a_new_address(scenario)
    scenario.before_call("PATCH", MEMBER, lambda: scenario.sandbox.delete_as_admin(LIST, ANN))
    report = scenario.sync()
    assert (report.moved, report.new, report.wanted) == (0, 1, 1)
    assert (scenario.sync().unchanged, scenario.status(NEW)) == (1, Status.SUBSCRIBED)


def test_where_the_new_address_is_a_member_already_the_former_one_is_archived(scenario: SyncScenario) -> None:
    with_a_new_address(scenario)
    scenario.before_call("PATCH", MEMBER, lambda: scenario.add_member(NEW))
    report = scenario.sync()
    assert (report.moved, report.changed, report.archived, report.wanted) == (0, 1, 1, 1)
    assert (scenario.status(ANN), scenario.status(NEW)) == (Status.ARCHIVED, Status.SUBSCRIBED)
    assert scenario.sync().unchanged == 1


def test_a_member_deleted_after_a_move_is_left_for_the_next_sync(scenario: SyncScenario) -> None:
    with_a_new_address(scenario)
    scenario.before_call("PATCH", MEMBER, lambda: scenario.sandbox.delete_as_admin(LIST, NEW), nth=2)
    assert scenario.sync().withheld == {Rejection.OTHER: 1}


def test_a_new_address_that_mailchimp_rejects_leaves_the_member_at_the_former_one(scenario: SyncScenario) -> None:
    with_a_new_address(scenario, FAKE)
    assert scenario.sync().rejected == {Rejection.FAKE: 1}
    assert scenario.status(ANN) is Status.SUBSCRIBED
    assert scenario.sync().waiting == {Rejection.FAKE: 1}
    scenario.state_preference("1", opted_in=False)
    scenario.sync()
    assert scenario.status(ANN) is Status.UNSUBSCRIBED


def who_left(scenario: SyncScenario, *, by_link: bool = False) -> SyncScenario:
    """Return the scenario after a sync of Ann, her unsubscribe at Mailchimp, and an opt-in here an hour later."""
    scenario.set_employees(ANN)
    scenario.sync()
    if scenario.status(ANN) is Status.PENDING:
        scenario.sandbox.confirm(LIST, ANN)
        scenario.sync()
    leave = scenario.sandbox.unsubscribe_by_link if by_link else scenario.sandbox.unsubscribe_as_admin
    leave(LIST, ANN)
    assert (scenario.sync().wanted, scenario.members()) == (0, [])
    scenario.state_preference("1", opted_in=True)
    return scenario


def test_a_contact_who_opts_in_again_is_resubscribed(scenario: SyncScenario) -> None:
    report = who_left(scenario).sync()
    assert (report.returned, report.changed, report.wanted, scenario.status(ANN)) == (1, 1, 1, Status.SUBSCRIBED)


@pytest.mark.parametrize(("by_link", "double_optin"), [(True, False), (False, True)])
def test_a_contact_who_must_confirm_becomes_pending(
    scenario: SyncScenario, *, by_link: bool, double_optin: bool
) -> None:
    if double_optin:
        scenario.enable_double_opt_in()
    report = who_left(scenario, by_link=by_link).sync()
    assert (report.returned, report.withheld, report.wanted) == (0, {Rejection.PENDING: 1}, 1)
    assert scenario.status(ANN) is Status.PENDING


def test_a_contact_who_cannot_return_yet_keeps_the_reason(scenario: SyncScenario) -> None:
    who_left(scenario)
    scenario.sandbox.limit_signups(SignupLimit())
    report = scenario.sync()
    assert (report.rejected, report.wanted) == ({Rejection.TOO_MANY_SIGNUPS: 1}, 1)
    scenario.sandbox.lift_signup_limits()
    assert (scenario.sync().returned, scenario.rejected()) == (1, [])


def test_a_returning_contact_without_a_member_is_sent_as_new(scenario: SyncScenario) -> None:
    who_left(scenario)
    scenario.before_call("PATCH", MEMBER, lambda: scenario.sandbox.delete_as_admin(LIST, ANN))
    assert scenario.sync().rejected == {Rejection.FORGOTTEN: 1}
    assert scenario.calls("POST", BATCH) == 2


def who_opted_out(scenario: SyncScenario) -> SyncScenario:
    """Return the scenario after a sync of Ann and an opt-out here."""
    scenario.set_employees(ANN, BOB)
    scenario.sync()
    scenario.state_preference("1", opted_in=False)
    return scenario


def test_an_opted_out_contact_is_unsubscribed_once(scenario: SyncScenario) -> None:
    result = who_opted_out(scenario).result()
    assert (result.unsubscribed, result.report and result.report.wanted) == (1, 1)
    assert (scenario.status(ANN), scenario.status(BOB)) == (Status.UNSUBSCRIBED, Status.SUBSCRIBED)
    assert scenario.result().unsubscribed == 0


def test_an_opted_out_contact_without_a_member_is_not_looked_up_again(scenario: SyncScenario) -> None:
    who_opted_out(scenario).sandbox.delete_as_admin(LIST, ANN)
    assert (scenario.result().unsubscribed, scenario.result().unsubscribed) == (1, 0)


class Refusing(MailchimpClient):
    """A Mailchimp that rejects every change of status, unlike the sandbox."""

    def set_member_status(self, list_id: str, ref: MemberRef, status: MemberStatus) -> Rejection:
        return Rejection.OTHER


@pytest.mark.parametrize("status", [Status.CLEANED, Status.SUBSCRIBED])
def test_an_opted_out_contact_whose_change_is_rejected_is_looked_up(scenario: SyncScenario, status: Status) -> None:
    who_opted_out(scenario)
    if status is Status.CLEANED:
        scenario.before_call("GET", MEMBER, lambda: scenario.sandbox.bounce(LIST, ANN))
    with Refusing(API_KEY, slots=ThreadSlots(), root=scenario.sandbox.api_root) as scenario.client:
        error = scenario.result().error or ""
    assert ("refused to unsubscribe 1 members" in error) == (status is Status.SUBSCRIBED)


@pytest.mark.parametrize(("double_optin", "archived"), [(False, 1), (True, 0)])
def test_a_contact_in_no_segment_is_archived_unless_pending(
    scenario: SyncScenario, *, double_optin: bool, archived: int
) -> None:
    if double_optin:
        scenario.enable_double_opt_in()
    scenario.archive_on_leave()
    scenario.set_employees(ANN)
    scenario.sync()
    scenario.set_employees()
    report = scenario.sync()
    # One call reads the member, one archives it.
    assert (report.archived, report.calls) == (archived, 2 * archived)
    assert scenario.sync().calls == 0
    scenario.set_employees(an_employee(email=ANN))
    assert scenario.sync().wanted == 1
    assert scenario.status(ANN) is (Status.PENDING if double_optin else Status.SUBSCRIBED)
