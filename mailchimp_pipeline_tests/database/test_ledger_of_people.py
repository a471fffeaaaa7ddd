"""What a `sync.Ledger` makes of people who opt out, come back, move and leave: the real one and the fake alike."""

from datetime import timedelta
from functools import partial
from typing import Protocol

import pandas as pd
import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.segments import OnLeave
from mailchimp_pipeline.sync import Ledger, MemberOutcome, MemberStatus, Outcome, Refusal, Standing
from mailchimp_pipeline_tests.database.builders import AT, MINUTE, a_member
from mailchimp_pipeline_tests.database.ledger_stages import FakeStage, Members, RealStage, Stage

ANN, BOB, EVA = (subscriber_hash(f"{name}@acme.test") for name in ("ann", "bob", "eva"))
UNSUBSCRIBED, SUBSCRIBED, PENDING = MemberStatus.UNSUBSCRIBED, MemberStatus.SUBSCRIBED, MemberStatus.PENDING
DAY = timedelta(days=1)


class Set(Protocol):
    """Sets a stage with these segments."""

    def __call__(self, *segments: Members) -> Stage: ...


@pytest.fixture(params=["real", "fake"])
def stage(request: pytest.FixtureRequest) -> Set:
    if request.param == "fake":
        return FakeStage
    return partial(RealStage, request.getfixturevalue("database"))


def differing(stage: Stage) -> dict[str, dict[str, object]]:
    rows = pd.concat([pd.DataFrame(), *(each.differences for each in stage.ledger.compare(stage.segment_ids[0]))])
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return {str(row["subscriber_hash"]): {str(name): value for name, value in row.items()} for row in records}


def push(ledger: Ledger, segment_id: str, status: MemberStatus = SUBSCRIBED) -> None:
    for piece in (each.differences for each in ledger.compare(segment_id)):
        ledger.record(piece, [MemberOutcome(key, Outcome.PUSHED, status) for key in piece["subscriber_hash"]])


def pushed(stage: Stage, status: MemberStatus = SUBSCRIBED) -> Stage:
    for segment_id in stage.segment_ids:
        push(stage.ledger, segment_id, status)
    return stage


@pytest.mark.parametrize("status", [SUBSCRIBED, PENDING])
def test_who_opted_out_is_to_be_withdrawn_while_mailed(stage: Set, status: MemberStatus) -> None:
    made = pushed(stage([a_member(), a_member("bob@acme.test", entity_id="2")]), status)
    made.say("1", opted_in=False)
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == [ANN]
    made.ledger.note_withdrawn(ANN, UNSUBSCRIBED)
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == []


def test_who_opted_in_again_is_not_withdrawn(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.say("1", opted_in=False)
    made.say("1", opted_in=True, at=AT + MINUTE)
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == []


def test_who_was_sent_though_the_answer_was_lost_is_withdrawn_too(stage: Set) -> None:
    made = stage([a_member()])
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT)])
    made.replace(made.segment_ids[0])
    made.say("1", opted_in=False)
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == [ANN]


def test_a_withdrawal_that_the_audience_does_not_know_is_done(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.say("1", opted_in=False)
    made.ledger.note_withdrawn(ANN, None)
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == []
    assert differing(made)[ANN]["known_status"] is None


def test_an_unsubscription_there_is_the_contacts_word(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.ledger.take_over([Standing(ANN, UNSUBSCRIBED, AT)])
    assert made.has_opted_out("1")


def test_an_unsubscription_there_is_older_than_a_later_word_to_us(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.say("1", opted_in=True, at=AT + MINUTE)
    made.ledger.take_over([Standing(ANN, UNSUBSCRIBED, AT)])
    assert not made.has_opted_out("1")
    assert differing(made)[ANN]["returns"] == "yes"


def test_an_unsubscription_that_we_carried_there_is_nobody_elses_word(stage: Set) -> None:
    made = pushed(stage([a_member(), a_member("bob@acme.test", entity_id="2")]))
    made.say("1", opted_in=False)
    made.ledger.note_withdrawn(ANN, UNSUBSCRIBED)
    made.replace(made.segment_ids[0], a_member(entity_id="3"), a_member("bob@acme.test", entity_id="2"))
    made.ledger.take_over([Standing(ANN, UNSUBSCRIBED, AT)])
    assert (made.has_opted_out("1"), made.has_opted_out("3")) == (True, False)


def left(stage: Stage) -> Stage:
    """Return the stage after Ann unsubscribed at Mailchimp by herself."""
    stage.ledger.take_over([Standing(ANN, UNSUBSCRIBED, AT + MINUTE)])
    return stage


def test_who_left_and_subscribes_there_again_consents(stage: Set) -> None:
    made = left(pushed(stage([a_member()])))
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT + DAY)])
    assert not made.has_opted_out("1")
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == []


def test_who_opted_out_to_us_stays_so_whatever_happens_there(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.say("1", opted_in=False)
    made.ledger.note_withdrawn(ANN, UNSUBSCRIBED)
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT + DAY)])
    assert made.has_opted_out("1")
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == [ANN]


def test_whom_we_may_have_subscribed_ourselves_did_not_consent(stage: Set) -> None:
    made = left(pushed(stage([a_member()])))
    made.ledger.finish_reading(AT)
    made.ledger.begin_push()
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT + DAY)])
    assert made.has_opted_out("1")


def test_who_is_subscribed_elsewhere_did_not_come_back(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.say("1", opted_in=False)
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT + DAY)])
    assert made.has_opted_out("1")


def test_within_one_second_leaving_counts(stage: Set) -> None:
    made = left(pushed(stage([a_member()])))
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT + MINUTE)])
    assert made.has_opted_out("1")


def test_who_comes_back_and_has_to_confirm_is_left_alone_until_then(stage: Set) -> None:
    made = left(pushed(stage([a_member()])))
    made.ledger.take_over([Standing(ANN, PENDING, AT + DAY)])
    assert (made.has_opted_out("1"), [each.subscriber_hash for each in made.ledger.withdrawn()]) == (True, [])
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT + DAY + MINUTE)])
    assert not made.has_opted_out("1")


def test_who_opted_in_after_leaving_there_returns(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.ledger.take_over([Standing(ANN, UNSUBSCRIBED, AT)])
    assert differing(made)[ANN]["returns"] is None
    made.say("1", opted_in=True, at=AT + MINUTE)
    assert differing(made)[ANN]["returns"] == "yes"


def test_who_bounced_does_not_return_by_a_word_to_us(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.ledger.take_over([Standing(ANN, MemberStatus.CLEANED, AT)])
    made.say("1", opted_in=True, at=AT + MINUTE)
    [row] = differing(made).values()
    assert (row["known_status"], row["returns"]) == ("cleaned", None)


@pytest.mark.parametrize("status", [SUBSCRIBED, PENDING])
def test_a_new_address_comes_from_the_former_one(stage: Set, status: MemberStatus) -> None:
    made = pushed(stage([a_member()]), status)
    made.replace(made.segment_ids[0], a_member("eva@acme.test"))
    assert differing(made)[EVA]["moved_from"] == ANN


def test_a_former_address_that_is_somebody_elses_now_is_not_moved(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.replace(made.segment_ids[0], a_member("eva@acme.test"), a_member(entity_id="2"))
    assert differing(made)[EVA]["moved_from"] is None


def test_a_former_address_that_left_is_not_moved(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.ledger.take_over([Standing(ANN, MemberStatus.CLEANED, AT)])
    made.replace(made.segment_ids[0], a_member("eva@acme.test"))
    assert differing(made)[EVA]["moved_from"] is None


@pytest.mark.parametrize("status", [SUBSCRIBED, PENDING])
def test_a_moved_member_keeps_its_status_and_is_sent_again(stage: Set, status: MemberStatus) -> None:
    made = pushed(stage([a_member()]), status)
    made.replace(made.segment_ids[0], a_member("eva@acme.test"))
    [piece] = [each.differences for each in made.ledger.compare(made.segment_ids[0])]
    made.ledger.rename(ANN, piece)
    [row] = differing(made).values()
    assert (row["subscriber_hash"], row["known_status"], row["moved_from"]) == (EVA, status.value, None)


def test_somebody_hired_again_is_who_is_mailed_at_the_address(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.replace(made.segment_ids[0], a_member(entity_id="7"))
    assert differing(made) == {}
    made.replace(made.segment_ids[0], a_member("eva@acme.test", entity_id="7"))
    assert differing(made)[EVA]["moved_from"] == ANN
    made.say("7", opted_in=False)
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == [ANN]


def test_who_left_a_segment_that_archives_is_a_leaver(stage: Set) -> None:
    made = pushed(stage([a_member(), a_member("bob@acme.test", entity_id="2")]))
    made.replace(made.segment_ids[0], a_member(), on_leave=OnLeave.ARCHIVE)
    assert list(made.ledger.leavers()) == [BOB]


def test_who_left_a_segment_that_keeps_is_no_leaver(stage: Set) -> None:
    made = pushed(stage([a_member(), a_member("bob@acme.test", entity_id="2")]))
    made.replace(made.segment_ids[0], a_member())
    assert list(made.ledger.leavers()) == []


def test_who_is_in_another_segment_of_the_audience_is_no_leaver(stage: Set) -> None:
    made = pushed(stage([a_member()], [a_member()]))
    made.replace(made.segment_ids[0], on_leave=OnLeave.ARCHIVE)
    assert list(made.ledger.leavers()) == []
    made.replace(made.segment_ids[1])
    assert list(made.ledger.leavers()) == [ANN]


def test_who_was_never_sent_by_us_is_no_leaver(stage: Set) -> None:
    made = stage([a_member()])
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT)])
    made.replace(made.segment_ids[0], on_leave=OnLeave.ARCHIVE)
    assert list(made.ledger.leavers()) == []


def test_who_we_archived_is_sent_as_new_when_they_return(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.replace(made.segment_ids[0], on_leave=OnLeave.ARCHIVE)
    made.ledger.note_archived(ANN, MemberStatus.ARCHIVED)
    made.replace(made.segment_ids[0], a_member())
    assert list(made.ledger.leavers()) == []
    assert differing(made)[ANN]["known_status"] is None


def test_who_an_administrator_archived_is_not_sent(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.ledger.take_over([Standing(ANN, MemberStatus.ARCHIVED, AT)])
    assert differing(made)[ANN]["known_status"] == "archived"


@pytest.mark.parametrize("status", [SUBSCRIBED, PENDING])
def test_a_leaver_who_has_yet_to_confirm_is_archived_once_they_have(stage: Set, status: MemberStatus) -> None:
    made = pushed(stage([a_member()]), status)
    made.replace(made.segment_ids[0], on_leave=OnLeave.ARCHIVE)
    assert list(made.ledger.leavers()) == ([ANN] if status is SUBSCRIBED else [])
    made.ledger.note_archived(ANN, PENDING)
    assert list(made.ledger.leavers()) == []
    made.ledger.take_over([Standing(ANN, SUBSCRIBED, AT + DAY)])
    assert list(made.ledger.leavers()) == [ANN]


def test_whose_new_address_is_mailed_already_is_archived_at_the_former_one(stage: Set) -> None:
    made = pushed(stage([a_member(), a_member("eva@acme.test", entity_id="2")]))
    made.replace(made.segment_ids[0], a_member("eva@acme.test"))
    assert differing(made) == {}
    assert list(made.ledger.leavers()) == [ANN]


def test_whose_new_address_is_not_mailed_keeps_the_former_one(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.ledger.take_over([Standing(EVA, MemberStatus.CLEANED, AT)])
    made.replace(made.segment_ids[0], a_member("eva@acme.test"))
    assert list(made.ledger.leavers()) == []


def test_who_was_refused_at_a_new_address_keeps_the_former_one(stage: Set) -> None:
    made = pushed(stage([a_member()]))
    made.replace(made.segment_ids[0], a_member("eva@acme.test"))
    [piece] = [each.differences for each in made.ledger.compare(made.segment_ids[0])]
    made.ledger.record(piece, [MemberOutcome(EVA, Outcome.REFUSED, refusal=Refusal.FAKE)])
    made.say("1", opted_in=False, at=AT + DAY)
    assert [each.subscriber_hash for each in made.ledger.withdrawn()] == [ANN]
