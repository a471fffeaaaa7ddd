"""What a `runs.run.Records` does, held against the real one and the fake alike."""

from collections.abc import Callable
from functools import partial

import pytest
from mailchimp_pipeline.runs.run import Records

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.contacts import EntityType, contacts
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.segments import (
    Exclusion,
    FilterCriteria,
    MassDeparture,
    Membership,
    Segment,
    SegmentType,
)
from mailchimp_pipeline_tests.database.builders import KEYRING
from mailchimp_pipeline_tests.database.builders import a_segment as stored_segment
from mailchimp_pipeline_tests.populations import membership
from mailchimp_pipeline_tests.runs.records_fake import FakeRecords
from mailchimp_pipeline_tests.runs.stage import a_segment, employees
from mailchimp_pipeline_tests.source_fake import an_employee, rows

Make = Callable[[], tuple[Records, Segment]]


def real(database: Database) -> tuple[Records, Segment]:
    return DatabaseRecords(database, KEYRING, utc_now), stored_segment(database)


@pytest.fixture(params=["real", "fake"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "fake":
        return lambda: (FakeRecords(), a_segment())
    return partial(real, request.getfixturevalue("database"))


def of(*emails: str, last_name: str = "Byron") -> Membership:
    staff = [{**row, "last_name": last_name} for row in employees(*emails)] or [an_employee(email="")]
    frame = contacts(rows(*staff), EntityType.EMPLOYEE)
    return membership(frame, SegmentType.EMPLOYEE, FilterCriteria())


def test_replacing_members_counts_how_they_differ(make: Make) -> None:
    records, segment = make()
    first = records.replace_members(segment, of("a@acme.test", "b@acme.test"), departures_confirmed=False)
    assert (first.before, first.added, first.members, first.matching) == (0, 2, 2, 2)
    second = records.replace_members(segment, of("b@acme.test", "c@acme.test", "x"), departures_confirmed=False)
    assert (second.before, second.added, second.removed, second.members) == (2, 1, 1, 2)
    assert second.excluded == {Exclusion.INVALID_ADDRESS: 1}
    third = records.replace_members(segment, of("b@acme.test", "c@acme.test", last_name="K"), departures_confirmed=True)
    assert (third.changed, third.added, third.removed) == (2, 0, 0)


def test_many_leave_only_where_a_person_confirmed_it(make: Make) -> None:
    records, segment = make()
    everybody = of(*(f"p{number}@acme.test" for number in range(10)))
    records.replace_members(segment, everybody, departures_confirmed=False)
    with pytest.raises(MassDeparture, match="10 of the 10 members"):
        records.replace_members(segment, of(), departures_confirmed=False)
    assert records.replace_members(segment, everybody, departures_confirmed=False).before == 10
    assert records.replace_members(segment, of(), departures_confirmed=True).removed == 10


def test_a_ledger_knows_the_members_of_its_segment(make: Make) -> None:
    records, segment = make()
    records.replace_members(segment, of("a@acme.test"), departures_confirmed=False)
    (piece,) = (each.differences for each in records.ledger(segment).compare(segment.id))
    assert piece["email"].tolist() == ["a@acme.test"]


def test_nobody_opted_out_of_a_new_database(make: Make) -> None:
    records, segment = make()
    frame = contacts(rows(*employees("a@acme.test")), EntityType.EMPLOYEE)
    suppressions, consented = records.suppressions(segment.organisation_id, frame)
    assert (len(suppressions.entities), len(suppressions.addresses), consented) == (0, 0, None)
    assert records.violations(segment) == 0


def test_an_audience_that_was_held_is_free_again(make: Make) -> None:
    records, segment = make()
    for _ in range(2):
        with records.hold_audience(segment):
            records.mark_syncing(segment)
            records.mark_failed(segment, "Mailchimp was away.")
