"""Cases of the same kind as those in `test_cases_a`, found by somebody who set out to break the consent rule."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from mailchimp_pipeline.contacts import subscriber_hash as hash_of
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.mailchimp.transport import Transport
from mailchimp_pipeline.mailchimp.wire_models import BatchResult
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, SegmentType
from mailchimp_pipeline_tests.consent.company import LATER_IDS, PEOPLE, Entity
from mailchimp_pipeline_tests.consent.crash_after import CrashAfter
from mailchimp_pipeline_tests.consent.product import SegmentSpec
from mailchimp_pipeline_tests.consent.scenario import DAY, NEWS, OTHER, STAFF, ConsentScenario
from mailchimp_pipeline_tests.consent.test_cases_a import (
    ALL_STAFF,
    ANN,
    BOB,
    EVERYBODY,
    HERS,
    NEW,
    OTHERS,
    nothing_is_wrong,
    start,
)
from sandbox import Fault, FaultKind, Hook, Seed, Status

OWN, CARL = "fay@own.test", PEOPLE[2]
MEMBER = "/lists/{list_id}/members/{subscriber_hash}"
BEFORE_A_PATCH = Hook(when="before", method="PATCH", route=MEMBER, list_id=NEWS)
A_CROWD = [Entity(f"employee/{number}") for number in range(1000, 1020)]
"""So many changes go in a batch."""


class AwaySource:
    """A source that cannot be read."""

    def read(self, *_: Any) -> Any:  # noqa: ANN401 - it raises
        raise TransientError("away")

    find = describe = read


def sync_daily(scenario: ConsentScenario, days: int = 1) -> None:
    for _ in range(days):
        scenario.clocks.move(DAY)
        scenario.tick()
        scenario.daily_sync()


def hire_a_crowd(scenario: ConsentScenario) -> None:
    """Have Ann and twenty more, and change everybody's name, which goes in one batch."""
    for entity in A_CROWD:
        scenario.hire(entity, f"{entity.entity_id}@acme.test")
    scenario.days_pass()
    for entity in (ANN, *A_CROWD):
        scenario.company.change(entity, first_name="Eva")


# What others change at Mailchimp while a push is under way.


def test_who_opted_out_and_signs_up_during_a_push_is_unsubscribed_by_a_later_sync(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(BOB, OTHERS)
    scenario.opt_out(BOB)
    scenario.days_pass()
    scenario.company.change(ANN, first_name="Eva")
    scenario.on_call(lambda: (scenario.at_mailchimp("sign_up", NEWS, OTHERS), scenario.clocks.move(5)), BEFORE_A_PATCH)
    sync_daily(scenario, 4)
    assert scenario.status(NEWS, OTHERS) is Status.UNSUBSCRIBED


def change_the_address_during_a_push(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(BOB, OTHERS)
    scenario.days_pass()
    scenario.company.change(ANN, first_name="Eva")
    scenario.company.change(BOB, first_name="Rob")
    scenario.product = replace(scenario.product, connections=1)
    scenario.on_call(lambda: (scenario.change_address(NEWS, HERS, OWN), scenario.clocks.move(5)), BEFORE_A_PATCH)
    scenario.days_pass(3)
    scenario.clocks.move(3600)


def test_an_opt_out_reaches_the_address_that_the_contact_gave_mailchimp_during_a_push(
    scenario: ConsentScenario,
) -> None:
    change_the_address_during_a_push(scenario)
    scenario.opt_out(ANN)
    scenario.days_pass(3)
    assert scenario.status(NEWS, OWN) is Status.UNSUBSCRIBED


def test_an_erasure_reaches_the_address_that_the_contact_gave_mailchimp_during_a_push(
    scenario: ConsentScenario,
) -> None:
    change_the_address_during_a_push(scenario)
    scenario.erase(ANN)
    scenario.days_pass(2)
    assert scenario.status(NEWS, OWN) is None


def test_who_unsubscribes_while_mailchimp_still_takes_the_batch_is_mailed_nowhere(
    scenario: ConsentScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(scenario, EVERYBODY, ALL_STAFF)
    hire_a_crowd(scenario)
    fetch = Transport.fetch

    def slowly(transport: Transport, call: Any, model: Any) -> Any:  # noqa: ANN401 - as it is called
        """Let Mailchimp take ten seconds from Ann, the first of the batch, to the others."""
        result = fetch(transport, call, model)
        if not isinstance(result, BatchResult):
            return result

        def later(member: Any) -> Any:  # noqa: ANN401 - a member of the answer
            if member.email_address == HERS:
                return member
            at = datetime.fromisoformat(member.last_changed) + timedelta(seconds=10)
            return member.model_copy(update={"last_changed": at.isoformat()})

        return result.model_copy(update={"updated_members": tuple(map(later, result.updated_members))})

    monkeypatch.setattr(Transport, "fetch", slowly)
    scenario.on_call(
        lambda: scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS),
        Hook(when="after", method="POST", route="/lists/{list_id}", list_id=NEWS),
    )
    scenario.days_pass(3)
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED


# Withdrawals that the member's status does not tell.


@pytest.mark.parametrize("first", ["archive_as_admin", "bounce"])
def test_a_complaint_of_a_member_who_gets_no_campaigns_any_more_counts_elsewhere(
    scenario: ConsentScenario, first: str
) -> None:
    scenario.sandbox.configure(complaint_makes="cleaned")
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.at_mailchimp(first, NEWS, HERS)
    scenario.days_pass()
    scenario.at_mailchimp("complain", NEWS, HERS)
    scenario.days_pass(2)
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED


@pytest.mark.parametrize("then", ["archive_as_admin", "delete_as_admin"])
def test_a_webhook_tells_of_an_unsubscribe_before_the_member_was_archived_or_deleted(
    scenario: ConsentScenario, then: str
) -> None:
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    call = scenario.calls[-1]
    scenario.at_mailchimp(then, NEWS, HERS)
    scenario.deliver(call)
    sync_daily(scenario, 2)
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED


def test_a_webhook_tells_of_an_unsubscribe_right_before_the_leaver_was_archived(scenario: ConsentScenario) -> None:
    sales = FilterCriteria(department=("Sales",))
    start(scenario, SegmentSpec("sales", STAFF, filter_criteria=sales, on_leave=OnLeave.ARCHIVE), EVERYBODY)
    scenario.company.change(ANN, department="Support")
    scenario.on_call(
        lambda: scenario.at_mailchimp("unsubscribe_by_link", STAFF, HERS),
        Hook(when="before", method="DELETE", route=MEMBER, list_id=STAFF),
    )
    scenario.days_pass()
    for call in scenario.calls:
        scenario.deliver(call)
    scenario.days_pass(2)
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED


# An opt-in ends the erasure of the contact, and of the address that it has now.


@pytest.mark.parametrize("act", ["here", "unsubscribe_by_link"])
def test_an_opt_in_at_a_new_address_does_not_free_the_erased_one(scenario: ConsentScenario, act: str) -> None:
    scenario.hire(BOB, HERS)
    start(scenario, EVERYBODY)
    if act == "here":
        scenario.opt_out(BOB)
    else:
        scenario.at_mailchimp(act, NEWS, HERS)
    scenario.days_pass()
    scenario.company.leave(BOB)
    scenario.erase(ANN)
    scenario.days_pass()
    scenario.company.change(ANN, email=NEW)
    scenario.opt_in(ANN)
    scenario.hire(CARL, HERS)
    scenario.add_segment(ALL_STAFF)
    sync_daily(scenario)
    assert scenario.status(STAFF, HERS) is None


def test_the_opt_in_of_who_has_an_erased_contacts_id_now_does_not_bring_that_contact_back(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.erase(ANN)
    scenario.days_pass()
    scenario.company.come_back_as(ANN, LATER_IDS[0])
    scenario.hire(ANN, NEW)
    scenario.opt_in(ANN)
    scenario.add_segment(ALL_STAFF)
    sync_daily(scenario)
    assert scenario.status(STAFF, HERS) is None


def test_an_opt_in_while_the_source_is_away_frees_no_address_and_a_later_one_frees_the_present(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.erase(ANN)
    scenario.days_pass()
    source = scenario.product.source
    scenario.product = replace(scenario.product, source=AwaySource())
    scenario.opt_in(ANN)
    scenario.product = replace(scenario.product, source=source)
    scenario.add_segment(SegmentSpec("other", OTHER))
    sync_daily(scenario)
    assert scenario.status(OTHER, HERS) is None
    scenario.opt_in(ANN)
    sync_daily(scenario)
    assert scenario.status(OTHER, HERS) is Status.SUBSCRIBED


# Addresses that a contact gave Mailchimp in place of one that is suppressed.


def test_the_opt_out_of_who_shares_the_replaced_address_reaches_the_new_one(scenario: ConsentScenario) -> None:
    scenario.hire(BOB, HERS)
    start(scenario, EVERYBODY)
    scenario.change_address(NEWS, HERS, OWN)
    scenario.days_pass()
    scenario.opt_out(BOB)
    sync_daily(scenario, 2)
    assert scenario.status(NEWS, OWN) is Status.UNSUBSCRIBED


def test_an_unsubscribe_of_the_replaced_address_elsewhere_reaches_the_new_one(scenario: ConsentScenario) -> None:
    scenario.hire(BOB, HERS)
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.change_address(NEWS, HERS, OWN)
    scenario.days_pass()
    scenario.company.leave(ANN)
    scenario.days_pass()
    scenario.at_mailchimp("unsubscribe_by_link", STAFF, HERS)
    sync_daily(scenario, 2)
    assert scenario.status(NEWS, OWN) is Status.UNSUBSCRIBED


# Another account.


def test_a_push_ends_when_another_account_is_connected(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    sent: list[tuple[int, list[str | None]]] = []
    for step in range(84, 132, 6):
        at_end: list[Status | None] = []
        email = f"{step}@acme.test"
        scenario.hire(Entity(f"employee/{2000 + step}"), email)
        scenario.clocks.move(DAY)

        def connect_another(email: str = email, at_end: list[Status | None] = at_end) -> None:
            scenario.connect_elsewhere()
            at_end.append(scenario.status(NEWS, email))

        outcomes = scenario.daily_sync(CrashAfter(meanwhile=connect_another, at=step))
        if at_end == [None] and scenario.status(NEWS, email):
            sent.append((step, [outcome.error for outcome in outcomes]))
        scenario.connect()
        scenario.clocks.move(DAY)
        scenario.daily_sync()
    # The call that was under way cannot be taken back.
    assert len(sent) < 2


# After an erasure.


def test_nothing_is_recorded_of_an_erased_contact_who_has_an_address_that_unsubscribed(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.sandbox.add_members(OTHER, [Seed(email_address=NEW)])
    scenario.at_mailchimp("unsubscribe_by_link", OTHER, NEW)
    scenario.days_pass()
    scenario.erase(ANN)
    scenario.days_pass()
    scenario.company.change(ANN, email=NEW)
    scenario.days_pass(2)
    with scenario.product.database.unrestricted() as connection:
        found = connection.execute(
            text(
                "select entity_id from consent_statements where organisation_id = :organisation_id"
                " and subscriber_hash = :subscriber_hash and entity_id is not null"
            ),
            {"organisation_id": scenario.organisation_id, "subscriber_hash": hash_of(NEW)},
        ).all()
    assert (scenario.preference(ANN), found) == (None, [])


@pytest.mark.parametrize("has_segment", [True, False])
def test_an_erased_contact_who_takes_over_an_address_is_not_mailed_at_it(
    scenario: ConsentScenario, *, has_segment: bool
) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(BOB, OTHERS)
    scenario.days_pass()
    scenario.erase(BOB)
    scenario.company.change(BOB, email=HERS)
    scenario.company.change(ANN, email=OTHERS)
    if has_segment:
        scenario.days_pass()
    else:
        scenario.delete_segment(EVERYBODY.name)
        scenario.clocks.move(DAY)
        scenario.tick()
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED


# Members who have yet to confirm.


def test_a_complaint_reaches_who_was_asked_to_confirm_in_another_audience(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("sign_up", STAFF, HERS)
    scenario.at_mailchimp("complain", NEWS, HERS)
    scenario.days_pass()
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED


def test_who_opted_out_here_and_signs_up_again_is_unsubscribed_before_having_confirmed(
    scenario: ConsentScenario,
) -> None:
    start(scenario, ALL_STAFF)
    scenario.opt_out(ANN)
    scenario.days_pass()
    scenario.at_mailchimp("sign_up", STAFF, HERS)
    assert scenario.status(STAFF, HERS) is Status.PENDING
    scenario.days_pass()
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED


def test_who_unsubscribed_and_signs_up_again_in_the_same_audience_may_confirm(scenario: ConsentScenario) -> None:
    start(scenario, ALL_STAFF)
    scenario.at_mailchimp("unsubscribe_by_link", STAFF, HERS)
    scenario.days_pass()
    scenario.at_mailchimp("sign_up", STAFF, HERS)
    scenario.days_pass()
    assert scenario.status(STAFF, HERS) is Status.PENDING
    scenario.at_mailchimp("confirm", STAFF, HERS)
    scenario.days_pass()
    assert scenario.status(STAFF, HERS) is Status.SUBSCRIBED
    preference = scenario.preference(ANN)
    assert preference is not None
    assert preference.opted_in is True


# What Mailchimp reports more than once.


def test_a_complaint_that_is_reported_again_does_not_undo_an_opt_in_made_since(scenario: ConsentScenario) -> None:
    scenario.at_mailchimp("sign_up", NEWS, HERS)
    scenario.at_mailchimp("complain", NEWS, HERS)
    scenario.hire(BOB, OTHERS)
    scenario.add_segment(EVERYBODY)
    scenario.daily_sync()
    scenario.hire(ANN, HERS)
    scenario.opt_in(ANN)
    scenario.daily_sync()
    preference = scenario.preference(ANN)
    assert preference is not None
    assert preference.opted_in


# An erasure that is asked for again.


def test_who_comes_back_while_the_erasure_is_pending_is_deleted_when_it_is_asked_for_again(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY, ALL_STAFF)
    # The first audience confirms the deletion, the second does not answer.
    deletion = f"{MEMBER}/actions/delete-permanent"
    scenario.sandbox.add_fault(Fault(kind=FaultKind.UNAVAILABLE, route=deletion, skip=1))
    scenario.erase(ANN)
    (confirmed,) = [list_id for list_id in (NEWS, STAFF) if scenario.status(list_id, HERS) is None]
    scenario.at_mailchimp("sign_up", confirmed, HERS)
    scenario.sandbox.clear_faults()
    scenario.erase(ANN)
    assert [scenario.status(list_id, HERS) for list_id in (NEWS, STAFF)] == [None, None]


# What an administrator does while the pipeline does the same.


def test_who_is_archived_by_an_administrator_right_before_the_pipeline_would_is_not_brought_back(
    scenario: ConsentScenario,
) -> None:
    start(scenario, replace(EVERYBODY, on_leave=OnLeave.ARCHIVE))
    scenario.company.leave(ANN)
    scenario.on_call(
        lambda: scenario.at_mailchimp("archive_as_admin", NEWS, HERS),
        Hook(when="before", method="GET", route=MEMBER, list_id=NEWS),
    )
    scenario.days_pass()
    scenario.hire(ANN, HERS)
    scenario.days_pass(2)
    assert scenario.status(NEWS, HERS) is Status.ARCHIVED


# Another account for a while.


def test_a_merge_field_that_was_made_anew_meanwhile_is_sent_again(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.connect_elsewhere()
    scenario.sandbox.remove_merge_field(NEWS, "LNAME")
    scenario.sandbox.add_merge_field(NEWS, "LNAME")
    scenario.connect()
    scenario.days_pass()
    member = scenario.find(NEWS, HERS)
    assert member is not None
    assert member.merge_fields["LNAME"] == "Byron"


def test_a_merge_field_that_was_away_during_a_sync_that_failed_is_sent_again(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.sandbox.remove_merge_field(NEWS, "LNAME")
    scenario.sandbox.add_fault(Fault(kind=FaultKind.BROKEN, method="PATCH", times=50))
    (failed,) = scenario.daily_sync()
    assert failed.error
    scenario.sandbox.clear_faults()
    scenario.sandbox.add_merge_field(NEWS, "LNAME")
    scenario.days_pass()
    member = scenario.find(NEWS, HERS)
    assert member is not None
    assert member.merge_fields["LNAME"] == "Byron"


def test_an_unsubscribe_counts_for_the_contact_after_another_account_was_connected(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY, SegmentSpec("vendors", OTHER, SegmentType.VENDOR))
    scenario.delete_segment(EVERYBODY.name)
    scenario.connect_elsewhere()
    scenario.connect()
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    scenario.days_pass()
    preference = scenario.preference(ANN)
    assert preference is not None
    assert preference.opted_in is False


# Members whom the pipeline did not bring.


def sign_up_and_change_the_address(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("sign_up", OTHER, HERS)
    scenario.days_pass()
    scenario.change_address(OTHER, HERS, OWN)
    scenario.days_pass()


@pytest.mark.parametrize("withdraw", ["here", "in another audience"])
def test_a_withdrawal_reaches_a_member_that_signed_up_and_then_gave_mailchimp_another_address(
    scenario: ConsentScenario, withdraw: str
) -> None:
    sign_up_and_change_the_address(scenario)
    if withdraw == "here":
        scenario.opt_out(ANN)
    else:
        scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    scenario.days_pass()
    assert scenario.status(OTHER, OWN) is Status.UNSUBSCRIBED


@pytest.mark.parametrize("act", ["unsubscribe_by_link", "complain"])
def test_a_withdrawal_of_a_member_that_signed_up_and_then_changed_its_address_counts_for_the_former_one(
    scenario: ConsentScenario, act: str
) -> None:
    sign_up_and_change_the_address(scenario)
    scenario.at_mailchimp(act, OTHER, OWN)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED


# A batch that has to be repeated.


def test_a_batch_is_not_repeated_after_a_member_left(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    hire_a_crowd(scenario)
    batch = "/lists/{list_id}"
    scenario.sandbox.add_fault(Fault(kind=FaultKind.UNAVAILABLE, method="POST", route=batch, times=1, applied=True))
    scenario.on_call(
        lambda: scenario.at_mailchimp("unsubscribe_as_admin", NEWS, HERS),
        Hook(when="after", method="POST", route=batch, list_id=NEWS),
    )
    sync_daily(scenario)
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED
    sync_daily(scenario)
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED
    crowd = [scenario.find(NEWS, f"{each.entity_id}@acme.test") for each in A_CROWD]
    assert all(member and member.merge_fields["FNAME"] == "Eva" for member in crowd)


# A call whose answer is lost.


def test_a_member_that_the_first_segment_asked_to_confirm_is_left_alone_by_the_second(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY, SegmentSpec("the same", NEWS))
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    scenario.days_pass()
    scenario.opt_in(ANN)
    # Mailchimp refuses the first call, "subscribed". The answers of the second call, "pending", are lost.
    scenario.sandbox.add_fault(Fault(kind=FaultKind.CUT, method="PATCH", route=MEMBER, skip=1, applied=True, times=3))
    sync_daily(scenario)
    assert nothing_is_wrong(scenario)
    assert scenario.status(NEWS, HERS) is Status.PENDING
    (patched,) = (route for route in scenario.sandbox.counts().total.routes if route.method == "PATCH")
    assert patched.calls == 4
