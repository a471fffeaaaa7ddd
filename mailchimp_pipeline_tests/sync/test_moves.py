"""Members who got another address, opted out, came back or left: one call each."""

import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.sync import MemberStatus, Outcome, Refusal, Renaming
from mailchimp_pipeline_tests.database.builders import AT, LIST, a_member, members
from mailchimp_pipeline_tests.fakes import FakeAudience, FakeAudiences
from mailchimp_pipeline_tests.ledger_values import Said
from mailchimp_pipeline_tests.sync.stage import ANN, SEGMENT, Stage, a_stage, parts

NEW = "ann@new.test"
ENTITY = ("employee", "1")
SUBSCRIBED, UNSUBSCRIBED, PENDING = MemberStatus.SUBSCRIBED, MemberStatus.UNSUBSCRIBED, MemberStatus.PENDING


def with_a_new_address(stage: Stage) -> Stage:
    """Return the stage after Ann was synced and got another address in the source."""
    stage.sync()
    stage.ledger.replace_members(SEGMENT, members(a_member(NEW)))
    return stage


def test_a_new_address_moves_the_member() -> None:
    stage = with_a_new_address(a_stage(a_member(ANN)))
    report = stage.sync()
    assert (report.moved, report.changed, report.new, parts(report)) == (1, 1, 0, 1)
    assert (stage.status(ANN), stage.status(NEW)) == (None, SUBSCRIBED)
    assert stage.sync().unchanged == 1


def test_who_has_yet_to_confirm_keeps_that_under_the_new_address() -> None:
    stage = with_a_new_address(a_stage(a_member(ANN), double_optin=True))
    report = stage.sync()
    assert (report.moved, report.withheld, report.wanted) == (1, {Refusal.PENDING: 1}, 1)
    assert (stage.status(ANN), stage.status(NEW)) == (None, PENDING)


def test_who_unsubscribed_just_before_the_move_is_not_subscribed_by_it() -> None:
    stage = with_a_new_address(a_stage(a_member(ANN)))
    stage.audiences.put(LIST, ANN, UNSUBSCRIBED)
    report = stage.push()
    assert (report.moved, report.withheld) == (1, {Refusal.UNSUBSCRIBED: 1})
    assert stage.status(NEW) is UNSUBSCRIBED
    assert stage.sync().withheld == {Refusal.UNSUBSCRIBED: 1}


def test_a_former_address_that_mailchimp_does_not_know_makes_a_new_member() -> None:
    stage = with_a_new_address(a_stage(a_member(ANN)))
    stage.audiences = FakeAudiences(FakeAudience(LIST), clock=stage.clock)
    report = stage.sync()
    assert (report.moved, report.new, report.wanted) == (0, 1, 1)
    assert stage.ledger.known[subscriber_hash(ANN)].status is None


def test_where_the_new_address_is_a_member_already_the_former_one_is_archived() -> None:
    stage = with_a_new_address(a_stage(a_member(ANN)))
    stage.audiences.put(LIST, NEW, SUBSCRIBED)
    report = stage.push()
    assert (report.moved, report.changed, report.archived, parts(report)) == (0, 1, 1, 1)
    assert (stage.status(ANN), stage.status(NEW)) == (MemberStatus.ARCHIVED, SUBSCRIBED)
    assert stage.sync().unchanged == 1


def test_a_new_address_that_mailchimp_refuses_is_kept_with_the_reason() -> None:
    stage = with_a_new_address(a_stage(a_member(ANN), refusals={NEW: Refusal.FAKE}))
    assert stage.sync().refused == {Refusal.FAKE: 1}
    assert stage.status(ANN) is SUBSCRIBED
    assert stage.sync().refused_before == 1


class Vanishing(FakeAudiences):
    """Does not know members any more that it has just moved."""

    def rename_member(self, list_id: str, subscriber_hash: str, new_email: str) -> Renaming | Refusal:
        moved = super().rename_member(list_id, subscriber_hash, new_email)
        self._audiences[list_id].members.clear()
        return moved


def test_who_is_gone_right_after_the_move_is_left_for_the_next_time() -> None:
    stage = with_a_new_address(a_stage(a_member(ANN)))
    audience = FakeAudience(LIST)
    stage.audiences = Vanishing(audience, clock=stage.clock)
    stage.audiences.put(LIST, ANN, SUBSCRIBED)
    assert stage.push().withheld == {Refusal.OTHER: 1}


def who_unsubscribed(*, opted_in_later: bool = True, barred: bool = False, double_optin: bool = False) -> Stage:
    """Return a stage where Ann unsubscribed at Mailchimp, and opted in with us a day later."""
    stage = a_stage(a_member(ANN), double_optin=double_optin)
    stage.sync()
    stage.audiences.put(LIST, ANN, UNSUBSCRIBED, barred=barred)
    stage.sync()
    stage.ledger.said[ENTITY] = Said(opted_in_later, AT.replace(year=AT.year + 1))
    return stage


def test_an_unsubscription_is_a_withdrawal_of_consent() -> None:
    stage = a_stage(a_member(ANN))
    stage.sync()
    stage.audiences.put(LIST, ANN, UNSUBSCRIBED)
    assert stage.sync().withheld == {Refusal.UNSUBSCRIBED: 1}
    assert not stage.ledger.said[ENTITY].opted_in


def test_who_opted_in_again_is_subscribed_again() -> None:
    stage = who_unsubscribed()
    report = stage.sync()
    assert (report.returned, report.changed, parts(report)) == (1, 1, 1)
    assert stage.status(ANN) is SUBSCRIBED


@pytest.mark.parametrize(("barred", "double_optin"), [(True, False), (False, True)])
def test_where_the_contact_itself_must_say_so_mailchimp_asks_it(*, barred: bool, double_optin: bool) -> None:
    stage = who_unsubscribed(barred=barred, double_optin=double_optin)
    report = stage.sync()
    assert (report.returned, report.withheld, report.wanted) == (0, {Refusal.PENDING: 1}, 1)
    assert stage.status(ANN) is PENDING


class Refusing(FakeAudiences):
    """Refuses every change of a status."""

    def set_member_status(self, list_id: str, subscriber_hash: str, status: MemberStatus) -> Refusal:
        return Refusal.MERGE_FIELD


def refusing(stage: Stage) -> Refusing:
    """Return the audiences of a stage, refusing from now on."""
    return Refusing(*stage.audiences.described(), clock=stage.clock)


def test_who_may_not_come_back_is_kept_with_the_reason() -> None:
    stage = who_unsubscribed()
    stage.audiences = refusing(stage)
    report = stage.sync()
    assert (report.refused, report.wanted) == ({Refusal.MERGE_FIELD: 1}, 1)
    assert stage.ledger.known[subscriber_hash(ANN)].state is Outcome.REFUSED


def test_who_comes_back_and_is_gone_there_is_new() -> None:
    stage = who_unsubscribed()
    stage.audiences = FakeAudiences(FakeAudience(LIST), clock=stage.clock)
    report = stage.sync()
    assert (report.new, report.returned, stage.status(ANN)) == (1, 0, SUBSCRIBED)


def who_opted_out() -> Stage:
    """Return a stage where Ann was synced, opted out with us and is no member any more."""
    stage = a_stage(a_member(ANN))
    stage.sync()
    stage.ledger.said[ENTITY] = Said(opted_in=False, at=AT)
    stage.ledger.replace_members(SEGMENT, members())
    return stage


def test_who_opted_out_is_unsubscribed_once() -> None:
    stage = who_opted_out()
    report = stage.sync()
    assert (report.withdrawn, report.calls, report.wanted) == (1, 1, 0)
    assert stage.status(ANN) is UNSUBSCRIBED
    assert stage.sync().withdrawn == 0


def test_who_opted_out_and_cannot_be_changed_is_looked_up() -> None:
    stage = who_opted_out()
    stage.audiences.put(LIST, ANN, MemberStatus.CLEANED)
    stage.audiences = refusing(stage)
    stage.push()
    assert stage.ledger.known[subscriber_hash(ANN)].status is MemberStatus.CLEANED


def test_who_opted_out_and_is_gone_there_is_forgotten_here() -> None:
    stage = who_opted_out()
    stage.audiences = FakeAudiences(FakeAudience(LIST), clock=stage.clock)
    assert stage.push().withdrawn == 1
    assert stage.ledger.known[subscriber_hash(ANN)].status is None


@pytest.mark.parametrize(("double_optin", "archived"), [(False, 1), (True, 0)])
def test_who_left_every_segment_is_archived_unless_they_have_yet_to_confirm(
    *, double_optin: bool, archived: int
) -> None:
    stage = a_stage(a_member(ANN), double_optin=double_optin)
    stage.sync()
    stage.ledger.replace_members(SEGMENT, members())
    stage.ledger.leaving = {subscriber_hash(ANN)}
    report = stage.sync()
    assert (report.archived, report.calls) == (archived, archived)
    assert stage.sync().calls == 0
