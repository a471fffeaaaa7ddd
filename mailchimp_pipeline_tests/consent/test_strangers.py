"""Words at addresses that were nobody's when they were said: they are the word of whoever has the address later."""

import pytest

from mailchimp_pipeline.database.preferences import Preference, PreferenceStore
from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.sandbox import Seed, Status
from mailchimp_pipeline.segments import SegmentType
from mailchimp_pipeline_tests.consent.company import PEOPLE, Entity, Person
from mailchimp_pipeline_tests.consent.processes import Life
from mailchimp_pipeline_tests.consent.world import NEWS, STAFF, World
from mailchimp_pipeline_tests.database.builders import KEYRING

ANN, BOB = PEOPLE[0], PEOPLE[1]
FORMER, LATER = "ann@acme.test", "bob@acme.test"
DAY = 24 * 60 * 60


def a_day_later(world: World) -> None:
    world.clock.move(DAY)
    world.tick(Life())
    done = world.sync(["first"], confirmed=True, life=Life())
    assert [result.error for result in done.results if result.error] == []
    assert list(world.wrongs_of(done)) == []


def preference(world: World, entity: Entity = ANN) -> Preference | None:
    with world.database.organisation(world.organisation_id) as session:
        return PreferenceStore(session, KEYRING).get(entity.entity_type, entity.entity_id)


def status(world: World, email: str) -> Status | None:
    member = world.sandbox.member(NEWS, email)
    return member.status if member else None


def an_unsubscription(world: World, act: str = "unsubscribe_by_link") -> None:
    """Let the audience have somebody whom we do not know, and who leaves it."""
    world.sandbox.add_members(NEWS, [Seed(email_address=FORMER)])
    world.act_at_mailchimp(act, NEWS, FORMER)


@pytest.mark.parametrize("is_known_before", [False, True])
def test_who_unsubscribed_before_we_knew_withdrew_consent_whatever_the_address(
    world: World, *, is_known_before: bool
) -> None:
    if is_known_before:
        a_day_later(world)
    an_unsubscription(world)
    world.company.put(Person(ANN, FORMER, "Sales"))
    a_day_later(world)
    said = preference(world)
    assert said is not None
    assert (said.opted_in, said.consent_source) == (False, "mailchimp")
    world.company.change(ANN, email=LATER)
    a_day_later(world)
    assert status(world, LATER) is None


def test_the_withdrawal_of_a_stranger_is_in_the_audit_log_once(world: World) -> None:
    an_unsubscription(world)
    world.company.put(Person(ANN, FORMER, "Sales"))
    a_day_later(world)
    a_day_later(world)
    with world.database.organisation(world.organisation_id) as session:
        rows = session.connection().exec_driver_sql("select action, actor from audit_log where entity_id = '1'")
        assert [tuple(row) for row in rows] == [("preference.opted_out", "mailchimp")]


def test_who_opts_in_after_all_is_subscribed_where_mailchimp_lets_us(world: World) -> None:
    world.company.put(Person(ANN, FORMER, "Sales"))
    an_unsubscription(world, "unsubscribe_as_admin")
    a_day_later(world)
    world.clock.move(3600)
    world.say(ANN, opted_in=True)
    a_day_later(world)
    assert status(world, FORMER) is Status.SUBSCRIBED


def test_an_opt_in_before_the_first_sync_outweighs_an_earlier_unsubscription(world: World) -> None:
    an_unsubscription(world, "unsubscribe_as_admin")
    world.company.put(Person(ANN, FORMER, "Sales"))
    world.clock.move(3600)
    world.say(ANN, opted_in=True)
    a_day_later(world)
    assert status(world, FORMER) is Status.SUBSCRIBED


def test_who_was_erased_and_is_hired_again_comes_back_by_an_opt_in(world: World) -> None:
    world.company.put(Person(ANN, FORMER, "Sales"))
    a_day_later(world)
    world.erase(ANN, Life())
    world.company.leave(ANN)
    a_day_later(world)
    world.company.put(Person(BOB, FORMER, "Sales"))
    a_day_later(world)
    assert status(world, FORMER) is None
    world.say(BOB, opted_in=True)
    with world.database.organisation(world.organisation_id) as session:
        log = session.connection().exec_driver_sql("select details from audit_log where entity_id = '2'")
        assert [details.get("erasure_lifted") for (details,) in log] == [True]


def test_an_administrators_archiving_is_about_the_contact_whatever_the_address(world: World) -> None:
    world.company.put(Person(ANN, FORMER, "Sales"))
    a_day_later(world)
    world.act_at_mailchimp("archive_as_admin", NEWS, FORMER)
    a_day_later(world)
    world.company.change(ANN, email=LATER)
    a_day_later(world)
    assert status(world, LATER) is None


def test_an_unsubscription_that_we_carried_for_one_contact_is_no_word_of_another(world: World) -> None:
    a_day_later(world)
    world.act_at_mailchimp("sign_up", STAFF, FORMER)
    world.act_at_mailchimp("confirm", STAFF, FORMER)
    world.add_segment("staff", NewSegment("staff", SegmentType.VENDOR, STAFF))
    world.company.put(Person(BOB, FORMER, "Sales"))
    world.sync(["staff"], confirmed=True, life=Life())
    world.say(BOB, opted_in=False)
    world.carry_withdrawals(Life())
    world.company.put(Person(ANN, FORMER, "Sales"))
    a_day_later(world)
    assert preference(world, BOB) is not None
    assert preference(world) is None
