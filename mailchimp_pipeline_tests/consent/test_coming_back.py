"""Contacts who left at Mailchimp and come back there by themselves."""

import pytest

from mailchimp_pipeline.database.preferences import Preference, PreferenceStore
from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.sandbox import Status
from mailchimp_pipeline.segments import SegmentType
from mailchimp_pipeline_tests.consent.company import PEOPLE, Person
from mailchimp_pipeline_tests.consent.processes import Life
from mailchimp_pipeline_tests.consent.world import NEWS, STAFF, World
from mailchimp_pipeline_tests.database.builders import KEYRING

ANN, HERS = PEOPLE[0], "ann@acme.test"


def preference(world: World) -> Preference | None:
    with world.database.organisation(world.organisation_id) as session:
        return PreferenceStore(session, KEYRING).get(ANN.entity_type, ANN.entity_id)


def days_pass(world: World, days: int = 1) -> None:
    for _ in range(days):
        world.clock.move(24 * 3600)
        world.carry_withdrawals(Life())
        results = world.sync(sorted(world.segments), confirmed=True, life=Life()).results
        assert {result.error for result in results} == {None}


def status(world: World) -> Status | None:
    member = world.sandbox.member(NEWS, HERS)
    return member and member.status


@pytest.fixture
def left(world: World) -> World:
    """Return the world a day after Ann unsubscribed by the link in a mail."""
    world.company.put(Person(ANN, HERS, "Sales"))
    days_pass(world)
    world.act_at_mailchimp("unsubscribe_by_link", NEWS, HERS)
    days_pass(world)
    return world


def test_who_signs_up_again_stays_subscribed(left: World) -> None:
    left.act_at_mailchimp("sign_up", NEWS, HERS)
    days_pass(left, 2)
    said = preference(left)
    assert said is not None
    assert (said.opted_in, said.consent_source, status(left)) == (True, "mailchimp", Status.SUBSCRIBED)


def test_who_told_us_no_is_unsubscribed_again(left: World) -> None:
    left.say(ANN, opted_in=False)
    left.act_at_mailchimp("sign_up", NEWS, HERS)
    days_pass(left)
    said = preference(left)
    assert said is not None
    assert (said.opted_in, status(left)) == (False, Status.UNSUBSCRIBED)


@pytest.mark.parametrize("is_called", [False, True])
def test_who_signs_up_where_we_carried_the_withdrawal_is_back_only_if_we_are_called(
    world: World, *, is_called: bool
) -> None:
    world.add_segment("second", NewSegment("second", SegmentType.MIXED, STAFF))
    world.company.put(Person(ANN, HERS, "Sales"))
    days_pass(world)
    for act, list_id in (("unsubscribe_by_link", NEWS), ("confirm", STAFF)):
        world.act_at_mailchimp(act, list_id, HERS)
    days_pass(world, 2)
    world.act_at_mailchimp("sign_up", STAFF, HERS)
    world.act_at_mailchimp("confirm", STAFF, HERS)
    for call in world.calls[-1:] * is_called:
        world.be_called(call)
    days_pass(world)
    said = preference(world)
    assert said is not None
    assert said.opted_in is is_called


def test_who_left_for_good_is_not_brought_back_by_a_sync(left: World) -> None:
    days_pass(left, 2)
    assert status(left) is Status.UNSUBSCRIBED


def test_an_organisation_that_asks_for_opt_ins_goes_on_asking_after_it_connects_again(world: World) -> None:
    world.company.put(Person(ANN, HERS, "Sales"))
    world.ask_for_opt_ins(opt_in_only=True)
    world.disconnect()
    world.connect()
    days_pass(world)
    assert status(world) is None
