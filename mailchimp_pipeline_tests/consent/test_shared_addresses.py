"""One address that several people have, of whom one said no."""

from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.sandbox import Status
from mailchimp_pipeline.segments import SegmentType
from mailchimp_pipeline_tests.consent.company import PEOPLE, Person
from mailchimp_pipeline_tests.consent.processes import Life
from mailchimp_pipeline_tests.consent.world import NEWS, World

ANN, BOB, VENDOR, SHARED = PEOPLE[0], PEOPLE[1], PEOPLE[-1], "ann@acme.test"
DAY = 24 * 60 * 60


def a_day_later(world: World) -> None:
    world.clock.move(DAY)
    done = world.sync(["first"], confirmed=True, life=Life())
    assert [result.error for result in done.results if result.error] == []
    assert list(world.wrongs_of(done)) == []


def status(world: World) -> Status | None:
    member = world.sandbox.member(NEWS, SHARED)
    return member.status if member else None


def let_one_of_two_opt_out(world: World) -> None:
    """Let Ann and Bob share the address for a day, and Bob opt out then."""
    for who in (ANN, BOB):
        world.company.put(Person(who, SHARED, "Sales"))
    a_day_later(world)
    world.say(BOB, opted_in=False)


def test_a_vendor_who_opted_out_bars_the_address_for_employees_too(world: World) -> None:
    world.add_segment("staff", NewSegment("staff", SegmentType.EMPLOYEE, NEWS))
    world.say(VENDOR, opted_in=False)
    for who in (ANN, VENDOR):
        world.company.put(Person(who, SHARED, "Sales"))
    (result,) = world.sync(["staff"], confirmed=True, life=Life()).results
    assert result.error is None
    assert world.sandbox.member(NEWS, SHARED) is None


def test_who_has_the_address_alone_by_now_decides_over_it(world: World) -> None:
    let_one_of_two_opt_out(world)
    a_day_later(world)
    world.company.leave(BOB)
    a_day_later(world)
    assert status(world) is Status.UNSUBSCRIBED
    world.say(ANN, opted_in=True)
    a_day_later(world)
    assert status(world) is Status.SUBSCRIBED


def test_who_was_hired_again_under_another_id_decides_over_the_address(world: World) -> None:
    world.company.put(Person(ANN, SHARED, "Sales"))
    a_day_later(world)
    world.say(ANN, opted_in=False)
    a_day_later(world)
    world.company.leave(ANN)
    world.company.put(Person(BOB, SHARED, "Sales"))
    a_day_later(world)
    assert status(world) is Status.UNSUBSCRIBED
    world.say(BOB, opted_in=True)
    a_day_later(world)
    assert status(world) is Status.SUBSCRIBED


def test_while_another_has_the_address_too_an_opt_in_does_not_outweigh_their_opt_out(world: World) -> None:
    let_one_of_two_opt_out(world)
    a_day_later(world)
    world.say(ANN, opted_in=True)
    a_day_later(world)
    assert status(world) is Status.UNSUBSCRIBED


def test_who_shares_the_address_of_a_member_and_opts_out_is_heard_at_once(world: World) -> None:
    let_one_of_two_opt_out(world)
    world.carry_withdrawals(Life())
    assert status(world) is Status.UNSUBSCRIBED


def test_a_vendor_who_was_erased_bars_the_address_that_it_comes_back_with_for_employees_too(world: World) -> None:
    world.say(VENDOR, opted_in=True)
    world.erase(VENDOR, Life())
    world.add_segment("staff", NewSegment("staff", SegmentType.EMPLOYEE, NEWS))
    for who in (ANN, VENDOR):
        world.company.put(Person(who, SHARED, "Sales"))
    (result,) = world.sync(["staff"], confirmed=True, life=Life()).results
    assert result.error is None
    assert status(world) is None
