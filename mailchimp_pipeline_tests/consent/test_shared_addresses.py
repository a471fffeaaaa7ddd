"""One address that several people have, of whom one said no."""

from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.segments import SegmentType
from mailchimp_pipeline_tests.consent.company import PEOPLE, Person
from mailchimp_pipeline_tests.consent.processes import Life
from mailchimp_pipeline_tests.consent.world import NEWS, World

ANN, VENDOR, SHARED = PEOPLE[0], PEOPLE[-1], "ann@acme.test"


def test_a_vendor_who_opted_out_bars_the_address_for_employees_too(world: World) -> None:
    world.add_segment("staff", NewSegment("staff", SegmentType.EMPLOYEE, NEWS))
    world.say(VENDOR, opted_in=False)
    for who in (ANN, VENDOR):
        world.company.put(Person(who, SHARED, "Sales"))
    (result,) = world.sync(["staff"], confirmed=True, life=Life()).results
    assert result.error is None
    assert world.sandbox.member(NEWS, SHARED) is None
