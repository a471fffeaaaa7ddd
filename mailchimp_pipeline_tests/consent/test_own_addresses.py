"""Contacts who change their address at Mailchimp, while the source keeps the one it has."""

import pytest

from mailchimp_pipeline.sandbox import Status
from mailchimp_pipeline.sync import Refusal, SyncReport
from mailchimp_pipeline_tests.consent.company import PEOPLE, Person
from mailchimp_pipeline_tests.consent.processes import Life
from mailchimp_pipeline_tests.consent.world import NEWS, World

ANN = PEOPLE[0]
HERS, OWN, NEW = "ann@acme.test", "fay@own.test", "bob@acme.test"


def synced(world: World) -> SyncReport:
    (result,) = world.sync(["first"], confirmed=True, life=Life()).results
    assert result.report, result.error
    return result.report


def mailed(world: World) -> set[str]:
    members = world.sandbox.members(NEWS)
    ours = (member for member in members if member.status is Status.SUBSCRIBED)
    return {member.email_address for member in ours if not member.email_address.endswith("keeper.test")}


@pytest.fixture(params=["by a call", "by a reading"])
def moved(world: World, request: pytest.FixtureRequest) -> World:
    """Return the world after Ann was synced and gave Mailchimp another address, of which we know."""
    world.company.put(Person(ANN, HERS, "Sales"))
    synced(world)
    world.change_address_at_mailchimp(NEWS, HERS, OWN)
    if request.param == "by a call":
        world.be_called(world.calls.pop())
    return world


def test_a_contact_keeps_the_address_that_it_gave_mailchimp(moved: World) -> None:
    reports = [synced(moved) for _ in range(2)]
    assert [report.withheld for report in reports] == [{Refusal.OWN_ADDRESS: 1}] * 2
    assert [(report.new, report.moved) for report in reports] == [(0, 0)] * 2
    assert mailed(moved) == {OWN}


def test_another_address_in_the_source_moves_the_member_there(moved: World) -> None:
    synced(moved)
    moved.company.change(ANN, email=NEW)
    assert synced(moved).moved == 1
    assert mailed(moved) == {NEW}
    assert synced(moved).withheld == {}


def test_the_same_address_in_the_source_settles_it(moved: World) -> None:
    synced(moved)
    moved.company.change(ANN, email=OWN)
    assert synced(moved).changed == 1
    moved.company.change(ANN, email=HERS)
    assert synced(moved).moved == 1
    assert mailed(moved) == {HERS}


def test_who_leaves_is_archived_at_their_own_address(moved: World) -> None:
    synced(moved)
    moved.company.leave(ANN)
    assert synced(moved).archived == 1
    assert mailed(moved) == set()


def test_an_opt_out_reaches_the_contact_at_its_own_address(moved: World) -> None:
    synced(moved)
    moved.say(ANN, opted_in=False)
    moved.carry_withdrawals(Life())
    assert mailed(moved) == set()


def test_an_erasure_finds_the_contact_at_its_own_address(moved: World) -> None:
    synced(moved)
    moved.erase(ANN, Life())
    assert not [member for member in moved.sandbox.members(NEWS) if "keeper" not in member.email_address]


def test_who_goes_back_to_the_address_in_the_source_is_sent_again(moved: World) -> None:
    synced(moved)
    moved.change_address_at_mailchimp(NEWS, OWN, HERS)
    assert synced(moved).withheld == {}
    assert mailed(moved) == {HERS}


def test_whoever_takes_the_address_that_a_contact_gave_up_brings_it_no_second_mail(moved: World) -> None:
    moved.company.put(Person(PEOPLE[1], NEW, "Sales"))
    synced(moved)
    moved.change_address_at_mailchimp(NEWS, NEW, HERS)
    assert [synced(moved).withheld for _ in range(2)] == [{Refusal.OWN_ADDRESS: 2}] * 2
    assert mailed(moved) == {OWN, HERS}


def test_of_two_one_may_take_the_address_that_the_other_gave_up_between_two_syncs(world: World) -> None:
    world.company.put(Person(ANN, HERS, "Sales"))
    world.company.put(Person(PEOPLE[1], NEW, "Sales"))
    synced(world)
    world.change_address_at_mailchimp(NEWS, HERS, OWN)
    world.change_address_at_mailchimp(NEWS, NEW, HERS)
    assert [synced(world).withheld for _ in range(2)] == [{Refusal.OWN_ADDRESS: 2}] * 2
    assert mailed(world) == {OWN, HERS}
