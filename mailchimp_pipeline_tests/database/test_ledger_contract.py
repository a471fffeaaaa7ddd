"""What a `sync.Ledger` does, held against the real one and the fake alike."""

from collections.abc import Hashable, Iterable
from typing import Protocol

import pandas as pd
import pytest

from mailchimp_pipeline.contacts import ARROW_STRING, subscriber_hash
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.segments import SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sync import Ledger, MemberOutcome, MemberStatus, Outcome, Refusal, Standing
from mailchimp_pipeline_tests.database.builders import ACME, AT, MINUTE, a_member, a_segment, put_members
from mailchimp_pipeline_tests.database.ledger_stages import FakeStage, Member, Members, RealStage

ANN, BOB = subscriber_hash("ann@acme.test"), subscriber_hash("bob@acme.test")


class Make(Protocol):
    """Makes a ledger of an audience with these segments; returns it and their ids."""

    def __call__(self, *segments: Members, piece: int = 10_000) -> tuple[Ledger, list[str]]: ...


def real(database: Database, *segments: Members, piece: int = 10_000) -> tuple[Ledger, list[str]]:
    stage = RealStage(database, *segments, piece=piece)
    return stage.ledger, stage.segment_ids


def fake(*segments: Members, piece: int = 10_000) -> tuple[Ledger, list[str]]:
    stage = FakeStage(*segments, piece=piece)
    return stage.ledger, stage.segment_ids


@pytest.fixture(params=["real", "fake"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "fake":
        return fake
    database: Database = request.getfixturevalue("database")
    return lambda *segments, piece=10_000: real(database, *segments, piece=piece)


def differing(ledger: Ledger, segment_id: str) -> list[dict[Hashable, object]]:
    rows = pd.concat([pd.DataFrame(), *(each.differences for each in ledger.compare(segment_id))])
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def push(ledger: Ledger, segment_id: str, status: MemberStatus = MemberStatus.SUBSCRIBED) -> None:
    for piece in (each.differences for each in ledger.compare(segment_id)):
        outcomes = [MemberOutcome(key, Outcome.PUSHED, status) for key in piece["subscriber_hash"]]
        ledger.record(piece, outcomes)


def refuse(ledger: Ledger, segment_id: str) -> None:
    for piece in (each.differences for each in ledger.compare(segment_id)):
        keys: Iterable[str] = piece["subscriber_hash"]
        ledger.record(piece, [MemberOutcome(key, Outcome.REFUSED, refusal=Refusal.FAKE) for key in keys])


def counts(ledger: Ledger, segment_id: str) -> tuple[int, int]:
    pieces = list(ledger.compare(segment_id))
    return sum(each.unchanged for each in pieces), sum(each.refused_before for each in pieces)


def test_everybody_differs_from_an_audience_that_has_nobody(make: Make) -> None:
    ledger, [segment] = make([a_member(), a_member("bob@acme.test", entity_id="2", last_name=None)])
    rows = {row["subscriber_hash"]: row for row in differing(ledger, segment)}
    assert rows.keys() == {ANN, BOB}
    assert rows[BOB]["last_name"] is None
    assert rows[ANN]["known_status"] is None


def test_differences_are_arrow_text_in_the_columns_of_the_port(make: Make) -> None:
    ledger, [segment] = make([a_member()])
    [piece] = [each.differences for each in ledger.compare(segment)]
    names = "subscriber_hash email first_name last_name entity_type entity_id digest known_status returns moved_from"
    assert set(piece.columns) == {*names.split(), "own_address"}
    assert {str(kind) for kind in piece.dtypes} == {str(ARROW_STRING)}


def test_what_was_pushed_and_is_subscribed_is_unchanged(make: Make) -> None:
    ledger, [segment] = make([a_member()])
    push(ledger, segment)
    assert differing(ledger, segment) == []
    assert counts(ledger, segment) == (1, 0)


def test_who_has_yet_to_confirm_still_differs(make: Make) -> None:
    ledger, [segment] = make([a_member()])
    push(ledger, segment, MemberStatus.PENDING)
    [row] = differing(ledger, segment)
    assert row["known_status"] == "pending"
    assert ledger.knows_unsubscribed()


def test_who_was_seen_subscribed_but_never_sent_differs(make: Make) -> None:
    ledger, [segment] = make([a_member()])
    ledger.take_over([Standing(ANN, MemberStatus.SUBSCRIBED)])
    [row] = differing(ledger, segment)
    assert row["known_status"] == "subscribed"
    assert not ledger.knows_unsubscribed()


def test_who_unsubscribed_after_the_push_differs(make: Make) -> None:
    ledger, [segment] = make([a_member()])
    push(ledger, segment)
    ledger.take_over([Standing(ANN, MemberStatus.UNSUBSCRIBED), Standing(ANN, MemberStatus.UNSUBSCRIBED)])
    [row] = differing(ledger, segment)
    assert row["known_status"] == "unsubscribed"
    assert ledger.knows_unsubscribed()


def test_who_was_refused_is_not_tried_again_with_the_same(make: Make) -> None:
    ledger, [segment] = make([a_member()])
    refuse(ledger, segment)
    assert differing(ledger, segment) == []
    assert counts(ledger, segment) == (0, 1)


def test_who_was_refused_is_tried_again_when_mailchimp_has_it_after_all(make: Make) -> None:
    ledger, [segment] = make([a_member()])
    refuse(ledger, segment)
    ledger.take_over([Standing(ANN, MemberStatus.SUBSCRIBED)])
    [row] = differing(ledger, segment)
    assert row["known_status"] == "subscribed"
    assert counts(ledger, segment) == (0, 0)


def test_a_standing_that_says_nothing_new_lifts_no_refusal(make: Make) -> None:
    ledger, [segment] = make([a_member()])
    ledger.take_over([Standing(ANN, MemberStatus.SUBSCRIBED)])
    refuse(ledger, segment)
    ledger.take_over([Standing(ANN, MemberStatus.SUBSCRIBED)])
    assert differing(ledger, segment) == []
    assert counts(ledger, segment) == (0, 1)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (a_member(entity_type="employee", entity_id="9"), a_member(entity_type="vendor", entity_id="1")),
        (a_member(entity_id="9"), a_member(entity_id="10")),
        (a_member(entity_id="10"), a_member(entity_id="9a")),
        (a_member(entity_id="007"), a_member(entity_id="7")),
        (a_member(entity_id="B"), a_member(entity_id="a")),
        (a_member(entity_id="12345678901234567890"), a_member(entity_id="12345678901234567891")),
    ],
)
def test_of_two_with_one_address_the_first_counts_in_every_segment(make: Make, first: Member, second: Member) -> None:
    ledger, segments = make([first | {"first_name": "First"}], [second | {"first_name": "Second"}])
    for segment in segments:
        [row] = differing(ledger, segment)
        assert (row["first_name"], row["entity_id"]) == ("First", first["entity_id"])


def test_another_segments_members_are_not_this_ones(make: Make) -> None:
    ledger, [mine, other] = make([a_member()], [a_member("bob@acme.test", entity_id="2")])
    push(ledger, other)
    assert [row["subscriber_hash"] for row in differing(ledger, mine)] == [ANN]
    assert counts(ledger, mine) == (0, 0)


def test_pieces_come_by_hash_and_leave_nobody_out(make: Make) -> None:
    everybody = [a_member(f"p{number}@acme.test", entity_id=str(number)) for number in range(25)]
    ledger, [segment] = make(everybody, piece=4)
    pieces = [each.differences for each in ledger.compare(segment)]
    keys = [str(key) for piece in pieces for key in piece["subscriber_hash"]]
    assert keys == sorted(str(member["subscriber_hash"]) for member in everybody)
    assert min(map(len, pieces[:-1])) >= 4


def test_what_is_recorded_between_pieces_does_not_come_back(make: Make) -> None:
    everybody = [a_member(f"p{number}@acme.test", entity_id=str(number)) for number in range(25)]
    ledger, [segment] = make(everybody, piece=4)
    push(ledger, segment)
    assert counts(ledger, segment) == (25, 0)


def test_nobody_has_been_read_before_the_first_time(make: Make) -> None:
    ledger, _ = make([])
    assert ledger.read_through() is None
    ledger.finish_reading(AT)
    ledger.finish_reading(AT + MINUTE)
    assert ledger.read_through() == AT + MINUTE


def test_it_knows_how_far_pushes_have_come_by_mailchimps_clock(make: Make) -> None:
    ledger, _ = make([a_member()])
    ledger.finish_reading(AT)
    ledger.end_push(None)
    assert ledger.pushed_through() is None
    for through in (AT + MINUTE, AT, None):
        ledger.end_push(through)
        assert ledger.pushed_through() == AT + MINUTE


def test_a_push_is_unfinished_until_it_ends_or_the_audience_is_read_again(make: Make) -> None:
    ledger, _ = make([])
    ledger.finish_reading(AT)
    assert not ledger.push_is_unfinished()
    for end in (lambda: ledger.end_push(None), lambda: ledger.finish_reading(AT + MINUTE)):
        ledger.begin_push()
        assert ledger.push_is_unfinished()
        end()
        assert not ledger.push_is_unfinished()


def test_a_segment_that_is_not_there_has_no_differences(make: Make) -> None:
    ledger, _ = make([a_member()])
    assert differing(ledger, "no-such-segment") == []
    assert counts(ledger, "no-such-segment") == (0, 0)


def test_a_deleted_segment_decides_over_nobody(database: Database) -> None:
    ledger, [mine, deleted] = real(database, [a_member(entity_type="vendor")], [a_member(first_name="Gone")])
    with database.organisation(ACME) as session:
        SegmentStore(session).delete(deleted, by="alice", at=AT)
    [row] = differing(ledger, mine)
    assert row["first_name"] == "Ann"


def test_another_organisation_or_audience_has_nothing_to_do_with_it(database: Database) -> None:
    ledger, [segment] = real(database, [a_member(entity_type="vendor")])
    put_members(database, a_segment(database, "globex"), a_member(first_name="Globex"))
    put_members(database, a_segment(database, list_id="other"), a_member(first_name="Other"))
    push(DatabaseLedger(database, ACME, "other", lambda: AT), segment)
    [row] = differing(ledger, segment)
    assert (row["first_name"], row["known_status"]) == ("Ann", None)
