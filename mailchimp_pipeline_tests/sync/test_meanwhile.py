"""Changes at Mailchimp between a pull and the calls of the push are preserved."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from sqlalchemy import select

from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.database.tables import ConsentStatementRow
from mailchimp_pipeline.sync import Rejection
from mailchimp_pipeline_tests.mailchimp.builders import CountingSlots, a_client
from mailchimp_pipeline_tests.sync.scenario import ANN, BATCH, BOB, LIST, MEMBER, SyncScenario, people
from sandbox import Status
from sandbox.control import Controls

LISTING = "/lists/{list_id}/members"
FIRST = "p1@acme.test"

Leave: TypeAlias = Callable[[Controls, str, str], None]
LEAVING = [
    (Controls.unsubscribe_as_admin, Status.UNSUBSCRIBED),
    (Controls.archive_as_admin, Status.ARCHIVED),
    (Controls.unsubscribe_by_link, Status.UNSUBSCRIBED),
]


def changed(scenario: SyncScenario, count: int) -> SyncScenario:
    """Return the scenario after a sync of this number of contacts, all with new names."""
    scenario.set_employees(*people(count))
    scenario.sync()
    scenario.set_employees(*people(count), last_name="King")
    return scenario


def opted_out(scenario: SyncScenario, entity_id: str = "1") -> bool:
    with scenario.database.organisation(scenario.organisation_id) as session:
        preference = PreferenceStore(session).get(EntityType.EMPLOYEE, entity_id)
    return preference is not None and not preference.opted_in


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize(("leave", "status"), LEAVING)
def test_a_member_who_unsubscribes_during_a_push_is_not_subscribed_by_it(
    scenario: SyncScenario, leave: Leave, status: Status, count: int
) -> None:
    changed(scenario, count)
    # The pull makes four listings; the fifth lists unsubscribed members before the batch.
    method, route, nth = ("GET", LISTING, 3) if count > 1 else ("PATCH", MEMBER, 1)
    scenario.before_call(method, route, lambda: leave(scenario.sandbox, LIST, FIRST), nth=nth)
    result = scenario.result()
    # The former push is read back.
    assert (result.read, scenario.status(FIRST)) == (count, status)
    assert result.report is not None
    assert (result.report.changed, sum(result.report.withheld.values())) == (count - 1, 1)
    assert opted_out(scenario) == (status is Status.UNSUBSCRIBED)
    scenario.sync()
    assert scenario.status(FIRST) is status


def test_the_departures_are_pulled_over_the_connection_of_the_batch(scenario: SyncScenario) -> None:
    changed(scenario, 30)
    slots = CountingSlots()
    scenario.client = a_client(scenario.sandbox.api_root, slots=slots)
    held: list[tuple[int, int]] = []
    scenario.before_call("POST", BATCH, lambda: held.append((slots.held, slots.taken)))
    calls = scenario.sandbox.counts().total.calls
    scenario.sync()
    # Two listings and the batch share the connection that was used last.
    assert held == [(1, slots.taken)]
    assert scenario.sandbox.counts().total.calls - calls == slots.taken + 2


def test_a_member_who_joins_during_a_push_is_adopted(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN, BOB)
    scenario.before_call("POST", BATCH, lambda: scenario.add_member(ANN))
    report = scenario.sync()
    assert (report.new, report.changed, report.calls) == (1, 1, 2)
    assert scenario.fields(ANN) == ("Ada", "Byron")
    assert scenario.sync().unchanged == 2


@pytest.mark.parametrize(
    ("status", "reason"),
    [(Status.UNSUBSCRIBED, Rejection.UNSUBSCRIBED), (Status.CLEANED, Rejection.CLEANED)],
)
def test_a_member_who_joins_and_leaves_during_a_push_is_not_subscribed(
    scenario: SyncScenario, status: Status, reason: Rejection
) -> None:
    scenario.set_employees(ANN)
    scenario.before_call("POST", BATCH, lambda: scenario.add_member(ANN, status))
    report = scenario.sync()
    assert (report.withheld, report.changed, scenario.status(ANN)) == ({reason: 1}, 0, status)
    assert opted_out(scenario) == (status is Status.UNSUBSCRIBED)


def test_a_member_deleted_after_its_batch_is_left_for_the_next_sync(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN)
    scenario.before_call("POST", BATCH, lambda: scenario.add_member(ANN))
    scenario.before_call("GET", MEMBER, lambda: scenario.sandbox.delete_as_admin(LIST, ANN))
    assert scenario.sync().withheld == {Rejection.OTHER: 1}


@pytest.mark.parametrize("when", [1, 2])
def test_a_contact_who_opts_out_during_a_batch_is_unsubscribed_afterwards(scenario: SyncScenario, when: int) -> None:
    scenario.set_employees(*people(600))
    scenario.before_call("POST", BATCH, lambda: scenario.state_preference("1", opted_in=False), nth=when)
    scenario.sync()
    assert scenario.status(FIRST) is Status.UNSUBSCRIBED
    assert scenario.sandbox.statuses(LIST) == {Status.SUBSCRIBED: 599, Status.UNSUBSCRIBED: 1}


def test_a_complaint_that_shows_as_a_bounce_is_withdrawn_consent(scenario: SyncScenario) -> None:
    scenario.sandbox.configure(complaint_makes="cleaned")
    scenario.set_employees(ANN, BOB)
    scenario.sync()
    scenario.sandbox.complain(LIST, ANN)
    scenario.sandbox.bounce(LIST, BOB)
    scenario.sync()
    assert (opted_out(scenario, "1"), opted_out(scenario, "2")) == (True, False)
    with scenario.database.organisation(scenario.organisation_id) as session:
        assert (
            session.scalars(select(ConsentStatementRow.channel)).all() == [Channel.COMPLAINT] * 2
        )  # of the contact, and of the address
