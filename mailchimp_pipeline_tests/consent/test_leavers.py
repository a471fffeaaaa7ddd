"""Who left and is found archived: by us, or by an administrator."""

from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.sandbox import Fault, FaultKind, Status
from mailchimp_pipeline.segments import OnLeave, SegmentType
from mailchimp_pipeline_tests.consent.company import PEOPLE, Person
from mailchimp_pipeline_tests.consent.processes import Life
from mailchimp_pipeline_tests.consent.world import NEWS, STAFF, World

ANN, HERS = PEOPLE[0], "ann@acme.test"


def synced(world: World, *, here: bool) -> World:
    """Return the world after Ann came or went, and everything was synced a day later."""
    if here:
        world.company.put(Person(ANN, HERS, "Sales"))
    else:
        world.company.leave(ANN)
    world.clock.move(24 * 3600)
    world.sync(sorted(world.segments), confirmed=True, life=Life())
    return world


def status(world: World, list_id: str) -> Status | None:
    member = world.sandbox.member(list_id, HERS)
    return member and member.status


def test_who_left_before_confirming_and_was_archived_by_an_administrator_stays_archived(world: World) -> None:
    world.add_segment("second", NewSegment("second", SegmentType.MIXED, STAFF, on_leave=OnLeave.ARCHIVE))
    synced(synced(world, here=True), here=False)
    assert status(world, STAFF) is Status.PENDING
    world.act_at_mailchimp("archive_as_admin", STAFF, HERS)
    synced(synced(world, here=False), here=True)
    assert status(world, STAFF) is Status.ARCHIVED


def test_whom_we_archived_is_sent_again_when_they_return_though_the_answer_was_lost(world: World) -> None:
    synced(world, here=True)
    world.sandbox.add_fault(Fault(kind=FaultKind.CUT, method="DELETE", applied=True, times=5))
    synced(world, here=False)
    world.sandbox.clear_faults()
    assert status(world, NEWS) is Status.ARCHIVED
    synced(synced(world, here=False), here=True)
    assert status(world, NEWS) is Status.SUBSCRIBED
