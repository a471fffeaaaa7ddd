"""The first pull reads all members; later pulls read relevant changes."""

from datetime import timedelta

from sqlalchemy import select

from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline_tests.sync.scenario import ANN, BOB, CAT, HOUR, LIST, SyncScenario, people
from sandbox import Fault, FaultKind, Status

LISTING = "/lists/{list_id}/members"
OTHER_LIST = "b2c3d4e5f6"


def read(scenario: SyncScenario) -> int:
    """Sync, and return the number of members read before."""
    result = scenario.result()
    assert result.error is None
    return result.read


def test_the_first_pull_reads_all_members_including_archived_ones(scenario: SyncScenario) -> None:
    for status in Status:
        scenario.add_member(f"{status}@acme.test", status)
    assert read(scenario) >= len(Status)
    with scenario.database.organisation(scenario.organisation_id) as session:
        assert set(session.scalars(select(AudienceMemberRow.status))) == set(Status)
    assert read(scenario) == 0


def test_later_pulls_read_changes_only(scenario: SyncScenario) -> None:
    scenario.add_member(ANN)
    scenario.add_member(BOB)
    read(scenario)
    scenario.sandbox.unsubscribe_by_link(LIST, BOB)
    assert (read(scenario), read(scenario)) == (1, 0)


def test_pushed_members_are_read_back_once(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(30))
    scenario.sync()
    assert (read(scenario), read(scenario)) == (30, 0)


def test_what_changed_while_mailchimps_clock_was_behind_is_read(scenario: SyncScenario) -> None:
    scenario.sandbox.configure(clock_ahead_seconds=-600)
    scenario.set_employees(ANN)
    scenario.sync()
    scenario.sandbox.unsubscribe_by_link(LIST, ANN)
    assert (read(scenario), scenario.members()) == (1, [])


def test_after_a_clock_that_was_ahead_all_are_read_again(scenario: SyncScenario) -> None:
    scenario.add_member(ANN)
    scenario.add_member(BOB)
    scenario.clock.advance(timedelta(days=400))
    read(scenario)
    scenario.clock.advance(timedelta(days=-400))
    assert (read(scenario), read(scenario)) == (2, 0)


def test_a_returned_member_is_pulled(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN)
    scenario.add_member(ANN, Status.CLEANED)
    scenario.sync()
    scenario.sandbox.sign_up(LIST, ANN)
    assert (scenario.sync().changed, scenario.status(ANN)) == (1, Status.SUBSCRIBED)


def test_a_pull_that_fails_is_begun_again_where_it_was(scenario: SyncScenario) -> None:
    scenario.add_member(ANN)
    scenario.sandbox.add_fault(Fault(kind=FaultKind.UNAVAILABLE, route=LISTING, skip=1, times=1))
    assert scenario.result().error
    assert scenario.ledger.read_through() is None
    assert read(scenario) == 1


def test_an_unsubscribe_in_an_unused_audience_counts_in_every_audience(scenario: SyncScenario) -> None:
    scenario.sandbox.add_audience(scenario.account_id, "News", OTHER_LIST)
    scenario.set_employees(ANN, BOB, CAT)
    scenario.sync()
    for email, leave in ((ANN, scenario.sandbox.unsubscribe_by_link), (BOB, scenario.sandbox.complain)):
        scenario.sandbox.sign_up(OTHER_LIST, email)
        leave(OTHER_LIST, email)
    assert (scenario.sync().wanted, scenario.members()) == (1, [CAT])
    assert [scenario.status(email) for email in (ANN, BOB, CAT)] == [
        Status.UNSUBSCRIBED,
        Status.UNSUBSCRIBED,
        Status.SUBSCRIBED,
    ]


def test_an_unreadable_audience_stops_the_push_to_all_audiences(scenario: SyncScenario) -> None:
    scenario.sandbox.add_audience(scenario.account_id, "News", OTHER_LIST)
    scenario.set_employees(ANN)
    scenario.before_call("GET", "/lists", lambda: scenario.sandbox.start_outage(FaultKind.BROKEN))
    assert scenario.result().error
    scenario.sandbox.end_outage()
    assert (scenario.status(ANN), scenario.is_synced()) == (None, False)
    assert (scenario.sync().new, scenario.is_synced()) == (1, True)


def test_a_member_archived_by_an_administrator_stays_archived(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN)
    scenario.sync()
    scenario.clock.advance(HOUR)
    scenario.sandbox.archive_as_admin(LIST, ANN)
    assert (scenario.sync().withheld, scenario.status(ANN)) == ({Rejection.ARCHIVED: 1}, Status.ARCHIVED)
