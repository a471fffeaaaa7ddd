"""Contacts that Mailchimp rejects: when each is sent again, and what a rejection does not keep from happening."""

from datetime import timedelta

import pytest

from mailchimp_pipeline.database.rejected_contacts import retry_rejected
from mailchimp_pipeline.sandbox import SignupLimit, SignupLimitKind, Status
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline.sync.rejections import PAUSES
from mailchimp_pipeline_tests.source_fake import an_employee
from mailchimp_pipeline_tests.sync.scenario import ANN, BOB, HOUR, LIST, SyncScenario, people

FAKE = "ann@example.com"
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("kind", SignupLimitKind)
def test_a_burst_of_sign_ups_is_tried_again_after_growing_pauses(scenario: SyncScenario, kind: SignupLimitKind) -> None:
    scenario.want(ANN, *people(4))
    scenario.sandbox.limit_signups(SignupLimit(addresses=frozenset({ANN}), kind=kind))
    assert scenario.sync().rejected == {Rejection.TOO_MANY_SIGNUPS: 1}
    for number, pause in enumerate([*PAUSES, PAUSES[-1]], start=1):
        (rejected,) = scenario.rejected()
        assert (rejected.attempts, rejected.next_attempt_at) == (number, scenario.clock() + pause)
        scenario.clock.move(pause - HOUR - MINUTE)
        assert scenario.sync().waiting == {Rejection.TOO_MANY_SIGNUPS: 1}
        scenario.clock.move(MINUTE - HOUR)
        assert scenario.sync().rejected == {Rejection.TOO_MANY_SIGNUPS: 1}
    scenario.sandbox.lift_signup_limits()
    scenario.clock.move(PAUSES[-1])
    assert (scenario.sync().new, scenario.rejected(), scenario.status(ANN)) == (1, [], Status.SUBSCRIBED)


def test_a_rejected_batch_says_little_about_each_contact_and_is_tried_again(scenario: SyncScenario) -> None:
    scenario.sandbox.add_merge_field(LIST, "BADGE", required=True)
    scenario.want(*people(4))
    result = scenario.result()
    assert "rejected 4 of the 4 contacts of segment 'Everybody' (4 merge field); 0 are in" in (result.error or "")
    assert (scenario.stored().status, scenario.stored().last_error) == (SegmentStatus.ERROR, result.error)
    assert {each.next_attempt_at for each in scenario.rejected()} == {scenario.clock() + HOUR}
    # Required no longer, which the merge fields' tags do not show.
    scenario.sandbox.require_merge_field(LIST, "BADGE", required=False)
    assert (scenario.sync().in_audience, scenario.is_synced()) == (4, True)


def test_a_contact_whose_required_field_is_blank_waits_for_another_value(scenario: SyncScenario) -> None:
    scenario.sandbox.require_merge_field(LIST, "LNAME")
    nameless = an_employee(id="10", email=ANN, last_name=None)
    scenario.want(*people(9), nameless)
    report = scenario.sync()
    assert (report.rejected, report.new, scenario.is_synced()) == ({Rejection.MERGE_FIELD: 1}, 9, True)
    assert [each.next_attempt_at for each in scenario.rejected()] == [None]
    scenario.clock.move(timedelta(days=30))
    assert scenario.sync().waiting == {Rejection.MERGE_FIELD: 1}
    scenario.want(*people(9), {**nameless, "last_name": "Lee"})
    assert (scenario.sync().new, scenario.rejected()) == (1, [])


def test_a_contact_is_sent_again_when_the_merge_fields_of_the_audience_change(scenario: SyncScenario) -> None:
    scenario.sandbox.add_merge_field(LIST, "BADGE", required=True)
    scenario.want(ANN)
    scenario.sync()
    assert scenario.sync().waiting == {Rejection.MERGE_FIELD: 1}
    scenario.sandbox.remove_merge_field(LIST, "BADGE")
    assert scenario.sync().new == 1


def test_a_fake_address_is_sent_again_only_when_somebody_asks_for_it(scenario: SyncScenario) -> None:
    scenario.want(FAKE, *people(4))
    assert scenario.sync().rejected == {Rejection.FAKE: 1}
    scenario.clock.move(timedelta(days=30))
    scenario.sandbox.add_merge_field(LIST, "BADGE")
    scenario.want(an_employee(email=FAKE, last_name="King"), *people(5)[1:])
    assert scenario.sync().waiting == {Rejection.FAKE: 1}
    scenario.sandbox.configure(fake_domains=frozenset[str]())
    assert scenario.sync().waiting == {Rejection.FAKE: 1}
    with scenario.database.organisation(scenario.organisation_id) as session:
        assert retry_rejected(session, scenario.segment.id, by="alice", at=scenario.clock()) == 1
    assert (scenario.sync().new, scenario.rejected()) == (1, [])


def test_a_segment_says_how_many_of_its_members_are_in_the_audience(scenario: SyncScenario) -> None:
    scenario.want(FAKE, *people(4))
    scenario.put("p1@acme.test", Status.CLEANED)
    report = scenario.sync()
    assert (report.in_audience, report.wanted, report.rejected_share, scenario.is_synced()) == (3, 5, 0.2, True)
    stored = scenario.stored().last_report or {}
    told = {name: stored[name] for name in ("wanted", "in_audience", "rejected", "waiting", "withheld")}
    assert told == {
        "wanted": 5,
        "in_audience": 3,
        "rejected": {"looks_fake": 1},
        "waiting": {},
        "withheld": {"cleaned_at_mailchimp": 1},
    }


def test_above_the_share_a_segment_is_in_error_also_while_the_contacts_wait(scenario: SyncScenario) -> None:
    scenario.want(FAKE, "bob@example.com", *people(7))
    for _ in range(2):
        assert "rejected 2 of the 9 contacts" in (scenario.result().error or "")
        assert (scenario.stored().last_report or {})["in_audience"] == 7
    scenario.want(*people(8))
    assert (scenario.sync().in_audience, scenario.is_synced()) == (8, True)


def with_a_rejected_change(scenario: SyncScenario) -> SyncScenario:
    """Return the scenario after Ann and Bob were synced, and Mailchimp rejected a change of Ann."""
    scenario.archive_leavers()
    scenario.want(ANN, BOB)
    scenario.sync()
    scenario.sandbox.add_merge_field(LIST, "BADGE", required=True)
    scenario.want(an_employee(email=ANN, last_name="King"), an_employee(id="2", email=BOB))
    report = scenario.sync()
    assert (report.rejected, report.unchanged, scenario.status(ANN)) == (
        {Rejection.MERGE_FIELD: 1},
        1,
        Status.SUBSCRIBED,
    )
    return scenario


def test_whose_change_was_rejected_is_archived_when_they_leave(scenario: SyncScenario) -> None:
    with_a_rejected_change(scenario).want(an_employee(id="2", email=BOB))
    assert (scenario.sync().archived, scenario.status(ANN)) == (1, Status.ARCHIVED)


def test_whose_change_was_rejected_moves_to_another_address(scenario: SyncScenario) -> None:
    with_a_rejected_change(scenario).want("ann@new.test", BOB)
    assert scenario.sync().moved == 1
    assert (scenario.status(ANN), scenario.status("ann@new.test")) == (None, Status.SUBSCRIBED)
    assert len(scenario.sandbox.members(LIST)) == 2


def test_whose_change_was_rejected_is_unsubscribed_when_they_opt_out(scenario: SyncScenario) -> None:
    with_a_rejected_change(scenario).say("1", opted_in=False)
    assert (scenario.result().unsubscribed, scenario.status(ANN)) == (1, Status.UNSUBSCRIBED)


def test_who_unsubscribes_after_a_rejection_has_withdrawn(scenario: SyncScenario) -> None:
    with_a_rejected_change(scenario).sandbox.unsubscribe_by_link(LIST, ANN)
    scenario.sync()
    assert scenario.members() == [BOB]
