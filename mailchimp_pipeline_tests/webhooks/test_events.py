"""What becomes of events in the ledger: late, twice, out of order, of strangers and of the erased."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.erased import ErasedContacts
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ErasureRequestRow
from mailchimp_pipeline.sync import MemberStatus, Outcome, Refusal, Standing
from mailchimp_pipeline.webhooks import MemberEvent
from mailchimp_pipeline_tests.database.builders import (
    AT,
    KEYRING,
    LIST,
    MINUTE,
    a_member,
    put_members,
)
from mailchimp_pipeline_tests.webhooks.calls import ANN, BOB
from mailchimp_pipeline_tests.webhooks.scene import (
    ARCHIVED,
    CLEANED,
    NUMBERS,
    OTHER_LIST,
    SECOND,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Scene,
    a_scene,
    moved,
    stands,
)


@pytest.fixture
def scene(database: Database) -> Scene:
    return a_scene(database)


def erase(scene: Scene, address: str) -> None:
    """Remember the address as erased, as an erasure does."""
    with scene.database.organisation(scene.organisation_id) as session:
        row = {"organisation_id": scene.organisation_id, "entity_hash": "0", "requested_by": "alice"}
        request = insert(ErasureRequestRow).values(**row, requested_at=AT).returning(ErasureRequestRow.id)
        request_id = str(session.scalars(request).one())
        entity = (EntityType.VENDOR, "9")
        hashes = [subscriber_hash(address)]
        ErasedContacts(session, KEYRING).add(entity, hashes, erasure_request_id=request_id, at=AT)


def test_who_unsubscribes_withdraws_consent(scene: Scene) -> None:
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE))
    said = scene.preference()
    assert said is not None
    assert (said.opted_in, said.consent_withdrawn_at, said.consent_source) == (False, AT + MINUTE, "mailchimp")
    assert scene.standings() == {"ann": "unsubscribed"}


def test_an_unsubscription_told_again_changes_nothing(scene: Scene) -> None:
    scene.tell(*[stands(UNSUBSCRIBED, AT + MINUTE)] * 3)
    assert scene.audited().count(("mailchimp", "preference.opted_out")) == 1
    assert scene.standings() == {"ann": "unsubscribed"}


@pytest.mark.parametrize("status", [ARCHIVED, CLEANED, None])
def test_archived_cleaned_and_deleted_are_no_word_on_consent(scene: Scene, status: MemberStatus | None) -> None:
    scene.tell(stands(status, AT + MINUTE))
    assert (scene.standings(), scene.preference()) == ({"ann": status}, None)


def test_an_unsubscription_before_a_later_opt_in_does_not_withdraw_it(scene: Scene) -> None:
    scene.opt_in(AT + 2 * MINUTE)
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE))
    said = scene.preference()
    assert said is not None
    assert said.opted_in


def test_an_older_event_does_not_turn_back_a_newer_standing(scene: Scene) -> None:
    scene.tell(stands(SUBSCRIBED, AT + 3 * MINUTE), stands(CLEANED, AT + 2 * MINUTE))
    assert scene.standings() == {"ann": "subscribed"}


def test_an_event_from_before_the_push_does_not_turn_it_back(scene: Scene) -> None:
    scene.tell(stands(ARCHIVED, AT - SECOND))
    assert scene.standings() == {"ann": "subscribed"}


def test_within_one_second_the_withdrawal_counts(scene: Scene) -> None:
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE), stands(SUBSCRIBED, AT + MINUTE))
    assert scene.standings() == {"ann": "unsubscribed"}


def test_a_deletion_lets_nobody_forget_an_unsubscription(scene: Scene) -> None:
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE), stands(None, AT + 2 * MINUTE))
    assert scene.standings() == {"ann": "unsubscribed"}


def test_a_stranger_who_unsubscribes_is_remembered_by_the_hash(scene: Scene) -> None:
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE, BOB))
    (row,) = [row for row in scene.rows() if row.subscriber_hash == subscriber_hash(BOB)]
    assert (row.status, row.state, row.email, row.entity_id) == ("unsubscribed", "seen", None, None)


def test_a_contact_who_comes_by_itself_is_known_as_the_contact(scene: Scene) -> None:
    put_members(scene.database, scene.segment, a_member(ANN), a_member(BOB, entity_id="2"))
    scene.tell(stands(SUBSCRIBED, AT + MINUTE, BOB))
    (row,) = [row for row in scene.rows() if row.subscriber_hash == subscriber_hash(BOB)]
    assert (row.entity_type, row.entity_id, row.state) == ("employee", "2", "seen")


def test_the_deletion_of_a_stranger_leaves_nothing(scene: Scene) -> None:
    scene.tell(stands(None, AT + MINUTE, BOB))
    assert scene.standings() == {"ann": "subscribed"}


def test_a_refusal_is_lifted_by_news_and_by_nothing_else(scene: Scene) -> None:
    put_members(scene.database, scene.segment, a_member(ANN, first_name="Anna"))
    scene.push(Outcome.REFUSED, Refusal.MERGE_FIELD)
    scene.tell(stands(SUBSCRIBED, AT + MINUTE))
    assert [row.refusal for row in scene.rows()] == ["merge_field"]
    scene.tell(stands(CLEANED, AT + 2 * MINUTE))
    assert [(row.refusal, row.state) for row in scene.rows()] == [(None, "pushed")]


def test_another_audience_stays_as_it_is(scene: Scene) -> None:
    scene.tell(stands(CLEANED, AT + MINUTE), list_id=OTHER_LIST)
    assert {(row.mailchimp_list_id, row.status) for row in scene.rows()} == {
        (LIST, "subscribed"),
        (OTHER_LIST, "cleaned"),
    }


def test_another_organisation_with_the_same_address_stays_as_it_is(scene: Scene) -> None:
    other = a_scene(scene.database, "globex")
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE))
    assert (other.standings(), other.preference()) == ({"ann": "subscribed"}, None)


def test_a_new_address_takes_standing_and_contact_along(scene: Scene) -> None:
    scene.tell(moved(ANN, BOB, AT + MINUTE))
    (row,) = scene.rows()
    assert (row.subscriber_hash, row.email, row.status) == (subscriber_hash(BOB), BOB, "subscribed")
    assert (row.entity_type, row.entity_id, row.digest) == ("employee", "1", None)


def test_a_change_of_address_told_again_changes_nothing(scene: Scene) -> None:
    scene.tell(*[moved(ANN, BOB, AT + MINUTE)] * 2, stands(CLEANED, AT + 2 * MINUTE, BOB), moved(ANN, BOB, AT + MINUTE))
    assert scene.standings() == {"bob": "cleaned"}


def test_an_unsubscription_at_a_new_address_that_was_not_told_of_yet_is_the_contacts(scene: Scene) -> None:
    scene.tell(stands(UNSUBSCRIBED, AT + 2 * MINUTE, BOB))
    assert scene.preference() is None
    scene.tell(moved(ANN, BOB, AT + MINUTE))
    said = scene.preference()
    assert said is not None
    assert (scene.standings(), said.consent_withdrawn_at) == ({"bob": "unsubscribed"}, AT + 2 * MINUTE)


def test_a_stranger_who_changes_the_address_becomes_nobody(scene: Scene) -> None:
    scene.tell(moved(BOB, "cy@acme.test", AT + MINUTE))
    assert scene.standings() == {"ann": "subscribed"}


def test_a_stranger_that_was_seen_keeps_no_address_in_the_clear(scene: Scene) -> None:
    scene.ledger.take_over([Standing(subscriber_hash(BOB), CLEANED, AT)])
    scene.tell(stands(None, AT + MINUTE), moved(BOB, ANN, AT + MINUTE))
    assert [(row.email, row.entity_id, row.status) for row in scene.rows()] == [(ANN, "1", None)]


def test_who_came_to_the_former_address_since_then_stays_there(scene: Scene) -> None:
    scene.tell(moved(ANN, BOB, AT - 10 * MINUTE))
    assert scene.standings() == {"ann": "subscribed"}


def test_a_late_call_lets_nobody_forget_who_came_to_the_former_address_since_then(scene: Scene) -> None:
    put_members(scene.database, scene.segment, a_member(ANN), a_member(BOB, entity_id="2"))
    scene.push()
    scene.tell(moved(ANN, BOB, AT - MINUTE))
    assert scene.standings() == {"ann": "subscribed", "bob": "subscribed"}


def test_of_the_erased_nothing_is_written(scene: Scene) -> None:
    erase(scene, BOB)
    scene.tell(stands(UNSUBSCRIBED, AT + MINUTE, BOB), stands(SUBSCRIBED, AT + MINUTE, BOB))
    scene.tell(moved(ANN, BOB, AT + MINUTE), moved(BOB, ANN, AT + MINUTE))
    assert scene.standings() == {"ann": "subscribed"}


_statuses = st.sampled_from([SUBSCRIBED, UNSUBSCRIBED, CLEANED, ARCHIVED])
_times = st.sampled_from([AT + number * SECOND for number in range(5)])
_events = st.lists(st.builds(stands, _statuses, _times), max_size=6)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(events=_events, random=st.randoms(use_true_random=False))
def test_in_whatever_order_and_how_often_events_come_the_end_is_the_same(
    database: Database, events: list[MemberEvent], random: Random
) -> None:
    in_order, mixed = (a_scene(database, f"organisation-{next(NUMBERS)}") for _ in range(2))
    some_twice = [*events, *events[::2]]
    random.shuffle(some_twice)
    in_order.tell(*events)
    mixed.tell(*some_twice)
    assert in_order.standings() == mixed.standings()
    assert (in_order.preference() is None) == (mixed.preference() is None)
