"""What is said, here or at Mailchimp, while a sync is under way: it counts, and keeps nobody else from being synced."""

from collections.abc import Callable

import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.preferences import Preference, PreferenceStore
from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.sandbox import Status
from mailchimp_pipeline.segments import SegmentType
from mailchimp_pipeline.sync import Refusal
from mailchimp_pipeline_tests.consent.company import PEOPLE, Person
from mailchimp_pipeline_tests.consent.happenings import Done
from mailchimp_pipeline_tests.consent.processes import Life
from mailchimp_pipeline_tests.consent.world import NEWS, STAFF, World
from mailchimp_pipeline_tests.database.builders import KEYRING

ANN, BOB = PEOPLE[0], PEOPLE[1]
AT_ACME, AT_HOME = "ann@acme.test", "fay@own.test"
DAY = 24 * 60 * 60


def status(world: World, email: str = AT_ACME, list_id: str = NEWS) -> Status | None:
    member = world.sandbox.member(list_id, email)
    return member.status if member else None


def preference(world: World) -> Preference | None:
    with world.database.organisation(world.organisation_id) as session:
        return PreferenceStore(session, KEYRING).get(ANN.entity_type, ANN.entity_id)


def a_day_later(world: World, meanwhile: Callable[[], None] | None = None, *, before: str = "") -> Done:
    """Sync as the schedule does; somebody does something just before a step of it."""
    world.clock.move(DAY)
    world.carry_withdrawals(Life())
    done = world.sync(sorted(world.segments), confirmed=True, life=Life(meanwhile=meanwhile, at=before))
    assert [result.error for result in done.results if result.error] == []
    return done


def was_sent(done: Done, email: str = AT_ACME) -> bool:
    return subscriber_hash(email) in {sent.address for sent in done.sent}


def opt_out(world: World) -> None:
    world.say(ANN, opted_in=False)
    world.carry_withdrawals(Life())


@pytest.fixture
def world(world: World) -> World:
    """Return a world in which Ann works for the company."""
    world.company.put(Person(ANN, AT_ACME, "Sales"))
    return world


@pytest.mark.parametrize("step", ["barred", "begin_push"])
def test_a_new_contact_who_opts_out_before_its_batch_is_not_sent(world: World, step: str) -> None:
    done = a_day_later(world, lambda: opt_out(world), before=step)
    assert (status(world), was_sent(done)) == (None, False)
    (result,) = done.results
    assert result.report is not None
    assert result.report.withheld == {Refusal.WITHDRAWN: 1}


@pytest.mark.parametrize("step", ["barred", "begin_push"])
def test_a_changed_contact_who_opts_out_before_its_batch_is_not_subscribed_again(world: World, step: str) -> None:
    a_day_later(world)
    world.company.change(ANN, first_name="Eva")
    done = a_day_later(world, lambda: opt_out(world), before=step)
    assert (status(world), was_sent(done)) == (Status.UNSUBSCRIBED, False)


@pytest.mark.parametrize("is_new", [True, False])
def test_who_opts_out_while_the_batch_is_under_way_is_unsubscribed_behind_it(world: World, *, is_new: bool) -> None:
    if not is_new:
        a_day_later(world)
        world.company.change(ANN, first_name="Eva")
    a_day_later(world, lambda: opt_out(world), before="subscribe")
    assert status(world) is Status.UNSUBSCRIBED


def test_who_is_erased_before_its_batch_is_not_sent(world: World) -> None:
    done = a_day_later(world, lambda: world.erase(ANN, Life()), before="barred")
    assert (status(world), was_sent(done)) == (None, False)


def test_who_opts_out_between_two_segments_keeps_neither_from_being_synced(world: World) -> None:
    world.company.put(Person(BOB, "bob@acme.test", "Sales"))
    world.add_segment("second", NewSegment("second", SegmentType.MIXED, STAFF))
    a_day_later(world, lambda: opt_out(world), before="mark_synced")
    sent = {status(world, "bob@acme.test", list_id) for list_id in (NEWS, STAFF)}
    assert sent == {Status.SUBSCRIBED, Status.PENDING}
    assert not {status(world, list_id=list_id) for list_id in (NEWS, STAFF)} & {Status.SUBSCRIBED, Status.PENDING}


def test_who_is_unsubscribed_at_mailchimp_before_a_late_batch_is_not_subscribed_again(world: World) -> None:
    a_day_later(world)
    world.company.change(ANN, first_name="Eva")

    def much_later() -> None:
        world.clock.move(60)
        world.act_at_mailchimp("unsubscribe_as_admin", NEWS, AT_ACME)

    a_day_later(world, much_later, before="merge_tags")
    said = preference(world)
    assert status(world) is Status.UNSUBSCRIBED
    assert said is not None
    assert (said.opted_in, said.consent_source) == (False, "mailchimp")


def test_who_is_unsubscribed_there_and_that_is_told_at_once_is_not_subscribed_again(world: World) -> None:
    a_day_later(world)
    world.company.change(ANN, first_name="Eva")

    def told() -> None:
        world.act_at_mailchimp("unsubscribe_as_admin", NEWS, AT_ACME)
        world.be_called(world.calls[-1])

    a_day_later(world, told, before="barred")
    assert status(world) is Status.UNSUBSCRIBED


def test_an_opt_out_finds_the_member_at_the_address_it_gave_mailchimp_during_a_long_push(world: World) -> None:
    a_day_later(world)
    world.company.put(Person(BOB, "bob@acme.test", "Sales"))

    def a_long_push() -> None:
        world.clock.move(1800)
        world.change_address_at_mailchimp(NEWS, AT_ACME, AT_HOME)
        world.clock.move(1800)

    a_day_later(world, a_long_push, before="subscribe")
    opt_out(world)
    assert status(world, AT_HOME) is Status.UNSUBSCRIBED


def test_nothing_more_is_sent_once_the_organisation_disconnects(world: World) -> None:
    world.clock.move(DAY)
    done = world.sync(["first"], confirmed=True, life=Life(meanwhile=world.disconnect, at="barred"))
    assert (status(world), was_sent(done)) == (None, False)
    assert "ended its connection" in (done.results[0].error or "")
