"""Consent and erasure, the cases A1 to A10 and their kin: each with its right outcome, in the fewest steps."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, SegmentType
from mailchimp_pipeline_tests.consent.company import LATER_IDS, PEOPLE, Company, Entity
from mailchimp_pipeline_tests.consent.conftest import AScenario
from mailchimp_pipeline_tests.consent.crash_after import CrashAfter
from mailchimp_pipeline_tests.consent.product import SegmentSpec
from mailchimp_pipeline_tests.consent.scenario import DAY, KEY, NEWS, OTHER, STAFF, ConsentScenario
from mailchimp_pipeline_tests.consent.steady_state import reach_steady_state, steady_state_wrongs
from sandbox import CallStarted, FaultKind, Hook, Seed, Status

ANN, BOB, VENDOR = PEOPLE[0], PEOPLE[1], PEOPLE[4]
HERS, OTHERS, NEW = "ann@acme.test", "bob@acme.test", "cat@acme.test"
EVERYBODY = SegmentSpec("news", NEWS)
ALL_STAFF = SegmentSpec("staff", STAFF)


def nothing_is_wrong(scenario: ConsentScenario) -> bool:
    """Tell whether the oracle found nothing, now and in the steady state."""
    assert scenario.wrongs == []
    reach_steady_state(scenario)
    assert [*scenario.wrongs, *steady_state_wrongs(scenario)] == []
    return True


def start(scenario: ConsentScenario, *specs: SegmentSpec) -> None:
    """Have Ann in HR and in every audience of the segments, whose members have confirmed, and let a day pass."""
    scenario.hire(ANN, HERS)
    for spec in specs:
        scenario.add_segment(spec)
    scenario.days_pass()
    for spec in specs:
        scenario.at_mailchimp("confirm", spec.list_id, HERS)
    scenario.days_pass()


def mailed(scenario: ConsentScenario) -> set[str]:
    """Return who is subscribed in the audience of news, but for those who never leave."""
    there = {each.email_address for each in scenario.sandbox.members(NEWS) if each.status is Status.SUBSCRIBED}
    return {email for email in there if "keeper" not in email}


def calls_of_a_sync(scenario: ConsentScenario) -> list[CallStarted]:
    """Sync, and return the calls that came to Mailchimp."""
    before = scenario.sandbox.journal_length()
    scenario.daily_sync()
    return [each for each in scenario.sandbox.journal(before) if isinstance(each, CallStarted)]


# A1: an opt-in lifts only the erasure of the entity that opts in.


def test_a1_the_opt_in_of_who_has_an_erased_contacts_old_address_does_not_bring_that_contact_back(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.erase(ANN)
    scenario.company.change(ANN, email=NEW)
    scenario.hire(VENDOR, HERS)
    scenario.opt_in(VENDOR)
    scenario.days_pass()
    assert scenario.status(NEWS, NEW) is None
    assert nothing_is_wrong(scenario)


def test_a1_an_address_that_an_erasure_claims_is_mailed_to_nobody_else(scenario: ConsentScenario) -> None:
    scenario.add_segment(EVERYBODY)
    scenario.hire(ANN, HERS)
    scenario.erase(ANN)
    scenario.company.leave(ANN)
    scenario.hire(VENDOR, HERS)
    scenario.opt_in(VENDOR)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is None
    assert nothing_is_wrong(scenario)


def test_a1_an_erased_contact_that_comes_back_under_another_id_stays_out(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.erase(ANN)
    scenario.company.come_back_as(ANN, LATER_IDS[0])
    scenario.opt_in(LATER_IDS[0])
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is None
    assert nothing_is_wrong(scenario)


def test_a1_who_was_erased_comes_back_by_an_opt_in_of_its_own(scenario: ConsentScenario) -> None:
    scenario.add_segment(EVERYBODY)
    scenario.hire(ANN, HERS)
    scenario.erase(ANN)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is None
    scenario.opt_in(ANN)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


# A2: before anything is pushed, the changes of all audiences are read.


@pytest.mark.parametrize("act", ["unsubscribe_by_link", "unsubscribe_as_admin", "complain"])
@pytest.mark.parametrize("list_id", [STAFF, OTHER])
def test_a2_who_left_another_audience_is_not_subscribed_by_a_manual_sync(
    scenario: ConsentScenario, act: str, list_id: str
) -> None:
    scenario.add_segment(EVERYBODY)
    scenario.add_segment(ALL_STAFF)
    scenario.days_pass()
    scenario.sandbox.add_members(list_id, [Seed(email_address=HERS)])
    scenario.at_mailchimp(act, list_id, HERS)
    scenario.hire(ANN, HERS)
    scenario.manual_sync("news")
    assert scenario.status(NEWS, HERS) is None
    assert nothing_is_wrong(scenario)


def test_a2_who_left_an_audience_that_no_segment_feeds_is_not_subscribed_by_the_daily_sync(
    scenario: ConsentScenario,
) -> None:
    scenario.sandbox.add_members(OTHER, [Seed(email_address=HERS)])
    scenario.at_mailchimp("unsubscribe_by_link", OTHER, HERS)
    scenario.hire(ANN, HERS)
    scenario.add_segment(EVERYBODY)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is None
    assert nothing_is_wrong(scenario)


def test_a2_who_left_an_audience_is_unsubscribed_in_all_others_by_a_manual_sync_of_one_segment(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.sandbox.add_members(OTHER, [Seed(email_address=HERS)])
    scenario.at_mailchimp("unsubscribe_by_link", STAFF, HERS)
    scenario.manual_sync("news")
    assert {scenario.status(list_id, HERS) for list_id in (NEWS, STAFF, OTHER)} == {Status.UNSUBSCRIBED}
    assert nothing_is_wrong(scenario)


# A3: an opt-in counts for the entity and the address it has in HR at that moment.


def test_a3_an_opt_in_at_a_new_address_says_nothing_of_who_shared_the_old_one(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(VENDOR, HERS)
    scenario.days_pass()
    scenario.at_mailchimp("unsubscribe_as_admin", NEWS, HERS)
    scenario.company.change(ANN, email=NEW)
    scenario.clocks.move(3600)
    scenario.opt_in(ANN)
    scenario.days_pass()
    assert (scenario.status(NEWS, HERS), scenario.status(NEWS, NEW)) == (Status.UNSUBSCRIBED, Status.SUBSCRIBED)
    assert nothing_is_wrong(scenario)


@pytest.mark.parametrize("is_known", [True, False])
def test_a3_of_two_who_share_an_address_the_opt_in_of_one_does_not_speak_for_the_other(
    scenario: ConsentScenario, *, is_known: bool
) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(BOB, HERS)
    scenario.days_pass()
    scenario.at_mailchimp("unsubscribe_as_admin", NEWS, HERS)
    if is_known:
        scenario.days_pass()
    scenario.clocks.move(3600)
    scenario.opt_in(ANN)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a3_an_opt_in_counts_for_the_address_in_hr_and_not_for_the_one_of_the_last_sync(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.company.change(ANN, email=NEW)
    scenario.hire(BOB, HERS)
    scenario.opt_out(BOB)
    scenario.opt_in(ANN)
    scenario.days_pass()
    assert scenario.status(NEWS, NEW) is Status.SUBSCRIBED
    assert scenario.status(NEWS, HERS) is not Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a3_who_said_no_and_has_an_address_now_suppresses_what_its_holder_gave_to_mailchimp(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(BOB, OTHERS)
    scenario.days_pass()
    scenario.at_mailchimp("confirm", NEWS, OTHERS)
    scenario.change_address(NEWS, OTHERS, "gil@own.test")
    scenario.days_pass()
    scenario.opt_out(ANN)
    scenario.company.change(ANN, email=OTHERS)
    scenario.days_pass()
    assert scenario.status(NEWS, "gil@own.test") is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a3_who_opted_in_is_not_taken_for_who_left_before_at_the_address_that_it_has_later(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(BOB, OTHERS)
    scenario.days_pass()
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, OTHERS)
    scenario.manual_sync("news")
    scenario.opt_in(ANN)
    scenario.company.change(ANN, email=OTHERS)
    scenario.days_pass()
    assert (preference := scenario.preference(ANN))
    assert preference.opted_in
    assert scenario.status(NEWS, OTHERS) is Status.UNSUBSCRIBED
    scenario.company.change(ANN, email=NEW)
    scenario.days_pass()
    assert scenario.status(NEWS, NEW) is Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


@pytest.mark.parametrize("act", ["unsubscribe_by_link", "complain"])
def test_a3_who_left_by_themselves_did_so_whoever_else_opts_out_before_that_is_read(
    scenario: ConsentScenario, act: str
) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(BOB, HERS)
    scenario.days_pass()
    scenario.at_mailchimp(act, NEWS, HERS)
    scenario.opt_out(BOB)
    scenario.company.change(ANN, email=NEW)
    scenario.days_pass()
    assert (scenario.status(NEWS, HERS), scenario.status(NEWS, NEW)) == (Status.UNSUBSCRIBED, None)
    assert nothing_is_wrong(scenario)


# A4: an opt-out reaches every audience of the connected account.


@pytest.mark.parametrize("at_once", [True, False])
def test_a4_an_opt_out_reaches_an_audience_that_no_segment_feeds(scenario: ConsentScenario, *, at_once: bool) -> None:
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("sign_up", OTHER, HERS)
    scenario.days_pass()
    scenario.leave(None if at_once else FaultKind.CUT)
    scenario.opt_out(ANN)
    scenario.leave(None)
    if not at_once:
        scenario.manual_sync("news")
    assert scenario.status(OTHER, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a4_an_opt_out_reaches_the_audience_of_a_segment_that_was_deleted(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.delete_segment("staff")
    scenario.opt_out(ANN)
    scenario.days_pass()
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


# A5: a change of data never changes a status.


@pytest.mark.parametrize(
    ("act", "status", "back"),
    [
        ("unsubscribe_as_admin", Status.UNSUBSCRIBED, "subscribe_as_admin"),
        ("unsubscribe_by_link", Status.UNSUBSCRIBED, "sign_up"),
        ("archive_as_admin", Status.ARCHIVED, "subscribe_as_admin"),
    ],
)
def test_a5_a_change_of_data_undoes_nothing_that_happens_to_the_member_at_any_call_of_the_push(
    scenario: ConsentScenario, act: str, status: Status, back: str
) -> None:
    start(scenario, EVERYBODY)
    for nth in range(1, 8):
        scenario.company.change(ANN, first_name=f"Eva {nth}")
        scenario.on_call(lambda: scenario.at_mailchimp(act, NEWS, HERS), Hook(list_id=NEWS, nth=nth))
        scenario.days_pass()
        assert scenario.status(NEWS, HERS) is (Status.SUBSCRIBED if scenario.sandbox.clear_hooks() else status)
        scenario.at_mailchimp(back, NEWS, HERS)
        scenario.opt_in(ANN)
        scenario.days_pass()
        assert scenario.status(NEWS, HERS) is Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a5_an_administrator_is_heard_at_every_reading_before_a_batch(
    scenario: ConsentScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailchimp_pipeline.sync.push._FEW", 0)
    start(scenario, EVERYBODY)
    scenario.company.change(ANN, first_name="Eva")
    readings = sum(each.method == "GET" and each.list_id == NEWS for each in calls_of_a_sync(scenario))
    for nth in range(1, readings + 1):
        scenario.company.change(ANN, first_name=f"Eva {nth}")
        hook = Hook(when="before", method="GET", list_id=NEWS, nth=nth)
        scenario.on_call(lambda: scenario.at_mailchimp("unsubscribe_as_admin", NEWS, HERS), hook)
        scenario.daily_sync()
        assert (scenario.sandbox.clear_hooks(), scenario.status(NEWS, HERS)) == (0, Status.UNSUBSCRIBED)
        scenario.at_mailchimp("subscribe_as_admin", NEWS, HERS)
        scenario.days_pass()
    assert nothing_is_wrong(scenario)


@pytest.mark.parametrize("act", ["unsubscribe_by_link", "unsubscribe_as_admin"])
def test_a5_a_leaver_who_unsubscribes_after_the_pull_is_mailed_nowhere(scenario: ConsentScenario, act: str) -> None:
    in_sales = FilterCriteria(department=("Sales",))
    start(scenario, SegmentSpec("sales", STAFF, filter_criteria=in_sales, on_leave=OnLeave.ARCHIVE), EVERYBODY)
    scenario.company.change(ANN, department="Support")
    scenario.on_call(
        lambda: scenario.at_mailchimp(act, STAFF, HERS),
        Hook(when="before", method="GET", route="/lists/{list_id}/members/{subscriber_hash}", list_id=STAFF),
    )
    scenario.days_pass()
    scenario.days_pass()
    assert (scenario.status(STAFF, HERS), scenario.status(NEWS, HERS)) == (Status.UNSUBSCRIBED, Status.UNSUBSCRIBED)
    assert nothing_is_wrong(scenario)


def test_a5_an_administrator_is_heard_between_two_batches_of_one_push(scenario: ConsentScenario) -> None:
    scenario.product = replace(scenario.product, connections=1)
    scenario.add_segment(EVERYBODY)
    entities = [Entity(f"employee/{number}") for number in range(1000, 2050)]
    for entity in entities:
        scenario.hire(entity, f"{entity.entity_id}@acme.test")
    scenario.days_pass()
    for entity in entities:
        scenario.company.change(entity, first_name="Eva")
    chosen: list[str] = []

    def unsubscribe_some_who_are_not_sent_yet() -> None:
        members = [m for m in scenario.sandbox.members(NEWS) if "keeper" not in m.email_address]
        chosen.extend([m.email_address for m in members if m.merge_fields["FNAME"] == "Ada"][::100])
        for email in chosen:
            scenario.at_mailchimp("unsubscribe_as_admin", NEWS, email)

    hook = Hook(when="after", method="POST", route="/lists/{list_id}", list_id=NEWS)
    scenario.on_call(unsubscribe_some_who_are_not_sent_yet, hook)
    scenario.days_pass()
    assert chosen
    assert {scenario.status(NEWS, email) for email in chosen} == {Status.UNSUBSCRIBED}
    assert scenario.wrongs == []


# A6: a refused change has no effect on leaving, moving, opting out or erasing.


def a_day_passes(scenario: ConsentScenario) -> None:
    """Let a day pass on which Mailchimp rejects so many that the segment is in error."""
    scenario.clocks.move(DAY)
    scenario.tick()
    scenario.daily_sync()


@pytest.fixture
def refused(scenario: ConsentScenario) -> ConsentScenario:
    """Return a scenario in which the last change of Ann's name was refused: a merge field is required by now."""
    start(scenario, SegmentSpec("news", NEWS, on_leave=OnLeave.ARCHIVE))
    scenario.sandbox.require_merge_field(NEWS, "PHONE")
    scenario.company.change(ANN, first_name="Eva")
    a_day_passes(scenario)
    return scenario


def test_a6_who_leaves_after_a_refused_change_is_archived(refused: ConsentScenario) -> None:
    refused.company.leave(ANN)
    refused.days_pass()
    assert refused.status(NEWS, HERS) is Status.ARCHIVED
    assert nothing_is_wrong(refused)


def test_a6_whose_change_was_refused_is_mailed_at_one_address_only(refused: ConsentScenario) -> None:
    refused.company.change(ANN, email=NEW)
    a_day_passes(refused)
    reach_steady_state(refused)
    mailed = [m.email_address for m in refused.sandbox.members(NEWS) if m.status is Status.SUBSCRIBED]
    assert (HERS in mailed, NEW in mailed) == (False, True)
    assert nothing_is_wrong(refused)


def test_a6_an_opt_out_after_a_refused_change_is_carried(refused: ConsentScenario) -> None:
    refused.opt_out(ANN)
    assert refused.status(NEWS, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(refused)


def test_a6_who_is_erased_after_a_refused_change_is_gone(refused: ConsentScenario) -> None:
    refused.erase(ANN)
    refused.days_pass()
    assert refused.status(NEWS, HERS) is None
    assert nothing_is_wrong(refused)


def test_a6_a_sync_with_many_rejections_says_how_many_members_it_found(refused: ConsentScenario) -> None:
    refused.hire(BOB, OTHERS)
    a_day_passes(refused)
    state = refused.segment("news")
    assert (state.status, state.wanted) == ("error", 4)


# A7: two organisations do not share an account.


def test_a7_a_second_organisation_cannot_connect_the_same_account(scenario: ConsentScenario) -> None:
    scenario.companies["a-second-one"] = Company("a-second-one")
    with pytest.raises(PipelineError):
        scenario.product.connect("a-second-one", KEY)


def test_a7_another_key_of_the_same_account_is_refused_too(scenario: ConsentScenario) -> None:
    other_key = "00112233445566778899aabbccddeeff-us6"
    scenario.sandbox.add_key(scenario.account_id, other_key)
    scenario.companies["a-second-one"] = Company("a-second-one")
    with pytest.raises(PipelineError):
        scenario.product.connect("a-second-one", other_key)
    assert scenario.connect(other_key)


def test_a7_an_account_that_was_given_up_can_be_connected_by_another_organisation(scenario: ConsentScenario) -> None:
    scenario.companies["a-second-one"] = Company("a-second-one")
    scenario.disconnect()
    scenario.product.connect("a-second-one", KEY)
    assert not scenario.connect()


# A8: where clocks cannot tell which statement was later, the withdrawal wins.


@pytest.mark.parametrize("minutes", [-10, -2, 0, 2, 10])
def test_a8_an_unsubscribe_one_minute_after_an_opt_in_counts_whatever_the_clocks_say(
    a_scenario: AScenario, minutes: int
) -> None:
    scenario = a_scenario(mailchimp_ahead=timedelta(minutes=minutes))
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.opt_in(ANN)
    scenario.clocks.move(60)
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    scenario.days_pass()
    preference = scenario.preference(ANN)
    assert preference is not None
    assert not preference.opted_in
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


@pytest.mark.parametrize("minutes", [-10, 0, 10])
def test_a8_an_opt_in_well_after_an_unsubscribe_counts_whatever_the_clocks_say(
    a_scenario: AScenario, minutes: int
) -> None:
    scenario = a_scenario(mailchimp_ahead=timedelta(minutes=minutes))
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("unsubscribe_as_admin", NEWS, HERS)
    scenario.clocks.move(22 * 60)
    scenario.opt_in(ANN)
    scenario.days_pass(2)
    assert scenario.status(NEWS, HERS) is Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


@pytest.mark.parametrize("minutes", [-10, 0, 10])
def test_a8_an_opt_in_just_after_an_unsubscribe_that_was_known_counts(a_scenario: AScenario, minutes: int) -> None:
    scenario = a_scenario(mailchimp_ahead=timedelta(minutes=minutes))
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("unsubscribe_as_admin", NEWS, HERS)
    scenario.daily_sync()
    scenario.opt_in(ANN)
    scenario.days_pass(2)
    assert scenario.status(NEWS, HERS) is Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


# A9: pending opt-outs are propagated whether or not anything is synced.


def test_a9_an_opt_out_made_while_mailchimp_was_away_is_carried_without_any_segment(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.delete_segment("news")
    scenario.leave(FaultKind.CUT)
    scenario.opt_out(ANN)
    scenario.leave(None)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a9_an_opt_out_made_while_the_organisation_was_disconnected_is_carried_later(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.delete_segment("news")
    scenario.disconnect()
    scenario.opt_out(ANN)
    scenario.connect()
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a9_an_unsubscribe_at_mailchimp_is_carried_to_other_audiences_without_any_segment(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.delete_segment("news")
    scenario.delete_segment("staff")
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    scenario.days_pass()
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a9_who_opted_out_is_unsubscribed_at_a_later_address_without_any_segment(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.hire(BOB, OTHERS)
    scenario.days_pass()
    scenario.opt_out(ANN)
    scenario.delete_segment("news")
    scenario.company.change(ANN, email=OTHERS)
    scenario.days_pass(2)
    assert scenario.status(NEWS, OTHERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


# A10: a complaint about spam is withdrawn consent, everywhere.


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
@pytest.mark.parametrize("is_told", [True, False])
def test_a10_who_complains_about_spam_is_mailed_nowhere(
    scenario: ConsentScenario, status: str, *, is_told: bool
) -> None:
    scenario.sandbox.configure(complaint_makes=status)
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.at_mailchimp("complain", NEWS, HERS)
    if is_told:
        scenario.deliver(scenario.calls[-1])
    scenario.days_pass()
    preference = scenario.preference(ANN)
    assert preference is not None
    assert not preference.opted_in
    assert scenario.status(STAFF, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a10_an_address_that_bounces_is_no_withdrawal(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY, ALL_STAFF)
    scenario.at_mailchimp("bounce", NEWS, HERS)
    scenario.deliver(scenario.calls[-1])
    scenario.days_pass()
    assert scenario.status(STAFF, HERS) is Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


# Of the same kind.


def test_who_signs_up_in_one_audience_did_not_take_back_having_left_another(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("unsubscribe_as_admin", NEWS, HERS)
    scenario.days_pass()
    scenario.at_mailchimp("sign_up", OTHER, HERS)
    for call in scenario.calls:
        scenario.deliver(call)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_who_signs_up_again_where_it_left_stays_subscribed(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    scenario.days_pass()
    scenario.at_mailchimp("sign_up", NEWS, HERS)
    scenario.days_pass(2)
    assert scenario.status(NEWS, HERS) is Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a_webhook_that_comes_late_undoes_no_later_sign_up(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    scenario.days_pass()
    scenario.at_mailchimp("sign_up", NEWS, HERS)
    scenario.days_pass()
    for call in reversed(scenario.calls):
        scenario.deliver(call)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is Status.SUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_a_form_does_not_undo_an_opt_out_made_here(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.opt_out(ANN)
    scenario.at_mailchimp("sign_up", NEWS, HERS)
    for call in scenario.calls:
        scenario.deliver(call)
    scenario.days_pass()
    assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_an_opt_out_counts_at_every_step_of_a_sync(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    for step in range(0, 70, 7):
        scenario.opt_in(ANN)
        scenario.days_pass()
        scenario.company.change(ANN, first_name=f"Eva {step}")
        scenario.clocks.move(3600)
        scenario.daily_sync(CrashAfter(meanwhile=lambda: scenario.opt_out(ANN), at=step))
        assert scenario.status(NEWS, HERS) is Status.UNSUBSCRIBED
    assert nothing_is_wrong(scenario)


def test_who_gives_mailchimp_the_address_of_an_erased_contact_is_there_by_their_own_doing(
    scenario: ConsentScenario,
) -> None:
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("sign_up", OTHER, OTHERS)
    scenario.days_pass()
    scenario.erase(ANN)
    scenario.days_pass()
    scenario.change_address(OTHER, OTHERS, HERS)
    scenario.days_pass()
    assert (scenario.status(OTHER, HERS), scenario.status(NEWS, HERS)) == (Status.SUBSCRIBED, None)
    assert nothing_is_wrong(scenario)


@pytest.mark.parametrize("signed_up", [True, False])
@pytest.mark.parametrize("step", range(0, 70, 14))
def test_an_erasure_at_any_step_of_a_sync_leaves_nobody_in_any_audience(
    scenario: ConsentScenario, step: int, *, signed_up: bool
) -> None:
    if signed_up:
        scenario.at_mailchimp("sign_up", OTHER, HERS)
    scenario.hire(BOB, HERS)
    start(scenario, SegmentSpec("other", OTHER))
    scenario.company.change(ANN, first_name="Eva")
    scenario.daily_sync(CrashAfter(meanwhile=lambda: scenario.erase(ANN), at=step))
    scenario.days_pass(2)
    assert scenario.status(OTHER, HERS) is None
    assert nothing_is_wrong(scenario)


def test_whose_unsubscribe_is_known_stays_out_at_any_later_address(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    scenario.company.change(ANN, email=NEW)
    scenario.days_pass()
    assert scenario.status(NEWS, NEW) is None
    assert nothing_is_wrong(scenario)


def test_who_opts_out_and_moves_before_any_sync_is_unsubscribed_at_the_old_address(scenario: ConsentScenario) -> None:
    start(scenario, EVERYBODY)
    scenario.leave(FaultKind.CUT)
    scenario.opt_out(ANN)
    scenario.leave(None)
    scenario.company.change(ANN, email=NEW)
    scenario.days_pass()
    assert (scenario.status(NEWS, HERS), scenario.status(NEWS, NEW)) == (Status.UNSUBSCRIBED, None)
    assert nothing_is_wrong(scenario)


def test_a_vendor_that_said_no_is_not_mailed_by_a_segment_of_employees(scenario: ConsentScenario) -> None:
    scenario.hire(VENDOR, HERS)
    scenario.opt_out(VENDOR)
    scenario.hire(ANN, HERS)
    scenario.add_segment(SegmentSpec("staff", STAFF, SegmentType.EMPLOYEE, FilterCriteria(department=("Sales",))))
    scenario.days_pass()
    assert scenario.status(STAFF, HERS) is None
    assert nothing_is_wrong(scenario)


def test_who_moves_to_an_address_that_is_free_only_later_is_mailed_at_that_one_alone(scenario: ConsentScenario) -> None:
    scenario.hire(BOB, NEW)
    start(scenario, EVERYBODY)
    scenario.opt_out(BOB)
    scenario.company.change(ANN, email=NEW)
    scenario.days_pass()
    assert mailed(scenario) == {HERS}
    scenario.company.leave(BOB)
    scenario.opt_in(ANN)
    scenario.days_pass(2)
    assert mailed(scenario) == {NEW}
    assert nothing_is_wrong(scenario)


def test_who_leaves_is_archived_at_the_address_they_gave_although_others_have_the_one_in_hr(
    scenario: ConsentScenario,
) -> None:
    sales = FilterCriteria(department=("Sales",))
    start(scenario, SegmentSpec("news", NEWS, filter_criteria=sales, on_leave=OnLeave.ARCHIVE))
    scenario.hire(BOB, HERS)
    scenario.change_address(NEWS, HERS, "gil@own.test")
    scenario.days_pass()
    assert mailed(scenario) == {"gil@own.test"}
    scenario.company.change(ANN, department="Works")
    scenario.days_pass(2)
    assert mailed(scenario) == {HERS}
    assert nothing_is_wrong(scenario)


def test_who_moves_in_vain_and_comes_back_may_leave_and_be_kept(scenario: ConsentScenario) -> None:
    start(scenario, SegmentSpec("news", NEWS, filter_criteria=FilterCriteria(department=("Sales",))))
    scenario.sandbox.add_members(NEWS, [Seed(email_address=NEW, status=Status.ARCHIVED)])
    scenario.days_pass()
    scenario.company.change(ANN, email=NEW)
    scenario.days_pass()
    assert mailed(scenario) == {HERS}
    scenario.company.change(ANN, email=HERS)
    scenario.days_pass()
    scenario.company.change(ANN, department="Works")
    scenario.days_pass(2)
    assert mailed(scenario) == {HERS}
