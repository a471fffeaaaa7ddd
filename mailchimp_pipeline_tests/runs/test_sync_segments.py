"""A run of many segments: the result of each is independent of the others."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from threading import Event

import pandas as pd
import pytest
from sqlalchemy import text

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.session import DatabaseRetry
from mailchimp_pipeline.errors import PermanentError, TransientError
from mailchimp_pipeline.segments import Segment, SegmentStatus, SegmentType
from mailchimp_pipeline.services.sync_segments import SegmentSync
from mailchimp_pipeline.sync import Audiences
from mailchimp_pipeline.sync.segment_results import SegmentResult, StopReason, SyncRun
from mailchimp_pipeline_tests.database.builders import KEYRING, LIST
from mailchimp_pipeline_tests.mailchimp.builders import a_client
from mailchimp_pipeline_tests.source_fake import FakeSource, a_vendor, an_employee
from mailchimp_pipeline_tests.sync.scenario import ANN, BOB, SetClock, SyncScenario, a_source, people
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import Status

PARTNERS = "f6f7f8f9f0"
GLOBEX_KEY = ApiKey.parse("fedcba9876543210fedcba9876543210-us7")


@pytest.fixture
def partners(scenario: SyncScenario) -> Segment:
    """Return a segment of another audience, which is synced second."""
    scenario.sandbox.add_audience(scenario.account_id, "Partners", PARTNERS)
    return scenario.add_segment(PARTNERS)


def sync_of(scenario: SyncScenario, records: DatabaseRecords | None = None) -> SegmentSync:
    """Return a sync that a test can change before it runs."""
    return SegmentSync(scenario.source, records or scenario.records, lambda _: scenario.client, scenario.clock)


def test_a_segment_that_is_new_is_filled_and_says_what_it_did(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN, "not an address")
    result = scenario.result()
    assert (result.error, result.member_count, result.report and result.report.new) == (None, 1, 1)
    assert result.figures()["excluded"] == {"invalid_address": 1}
    assert (scenario.stored().status, scenario.stored().member_count) == (SegmentStatus.SYNCED, 1)


def test_organisations_get_their_own_people(scenario: SyncScenario) -> None:
    account_id = scenario.sandbox.add_account(GLOBEX_KEY.reveal())
    scenario.sandbox.add_audience(account_id, "Partners", PARTNERS)
    with scenario.database.organisation("globex") as session:
        ConnectionStore(session, KEYRING).connect(
            Account(account_id, "Globex", GLOBEX_KEY), by="bob", at=scenario.clock()
        )
    theirs = scenario.add_segment(PARTNERS, organisation_id="globex")
    scenario.set_employees(ANN, an_employee(organisation_id="globex", email="gus@globex.test"))
    with a_client(scenario.sandbox.api_root, key=GLOBEX_KEY) as client:
        accounts = {"acme": scenario.client, "globex": client}
        sync = replace(sync_of(scenario), audiences=accounts.__getitem__)
        assert {result.error for result in sync.results([theirs, scenario.segment])} == {None}
    members = {
        list_id: [one.email_address for one in scenario.sandbox.members(list_id)] for list_id in (LIST, PARTNERS)
    }
    assert members == {LIST: [ANN], PARTNERS: ["gus@globex.test"]}


def test_one_bad_segment_does_not_stop_the_others(scenario: SyncScenario) -> None:
    bad = scenario.add_segment("0000000000")
    scenario.set_employees(ANN)
    results = scenario.results(bad, scenario.segment)
    assert "the audience 0000000000" in (results[bad.id].error or "")
    assert results[scenario.segment.id].error is None
    assert [scenario.stored(each).status for each in (bad, scenario.segment)] == [
        SegmentStatus.ERROR,
        SegmentStatus.SYNCED,
    ]


@pytest.fixture
def without_vendors(scenario: SyncScenario) -> SyncScenario:
    """Return the scenario with a source without a vendor relation."""
    scenario.set_employees(ANN)
    del scenario.source.relations[EntityType.VENDOR]
    return scenario


def test_a_missing_relation_fails_only_the_segments_that_need_it(without_vendors: SyncScenario) -> None:
    vendors, mixed = (without_vendors.add_segment(kind=kind) for kind in (SegmentType.VENDOR, SegmentType.MIXED))
    results = without_vendors.results(without_vendors.segment, vendors, mixed)
    assert results[without_vendors.segment.id].error is None
    assert results[vendors.id].error == results[mixed.id].error
    assert "no vendors" in (results[vendors.id].error or "")


def test_no_contact_is_sent_while_the_addresses_of_opted_out_contacts_cannot_be_read(
    without_vendors: SyncScenario,
) -> None:
    missing = without_vendors.source
    without_vendors.source = a_source([], [a_vendor()])
    without_vendors.state_preference("1", opted_in=False, kind=EntityType.VENDOR)
    without_vendors.source = missing
    assert "no vendors" in (without_vendors.result().error or "")
    assert without_vendors.status(ANN) is None


def test_a_source_that_cannot_be_read_at_all_fails_every_segment_with_its_reason(scenario: SyncScenario) -> None:
    scenario.source = FakeSource({})
    results = scenario.results(scenario.segment, scenario.add_segment(kind=SegmentType.VENDOR))
    assert ["The source has no" in (result.error or "") for result in results.values()] == [True, True]


def test_a_source_that_was_emptied_changes_nothing(scenario: SyncScenario) -> None:
    scenario.archive_on_leave()
    scenario.set_employees(*people(40))
    scenario.sync()
    scenario.set_employees(an_employee(organisation_id="globex"))
    result = scenario.result(confirmed=False)
    assert "holds no employees of organisation acme" in (result.error or "")
    assert (result.stopped_by, len(scenario.members())) == (StopReason.DEPARTURES, 40)
    assert scenario.sandbox.statuses(LIST) == {Status.SUBSCRIBED: 40}


def test_a_segment_that_never_had_members_may_be_empty(scenario: SyncScenario) -> None:
    assert scenario.result(confirmed=False).error is None


def test_too_many_departures_wait_for_a_confirmation(scenario: SyncScenario) -> None:
    scenario.set_employees(*people(10))
    scenario.sync()
    scenario.set_employees(*people(2))
    stopped = scenario.result(confirmed=False)
    assert (stopped.stopped_by, len(scenario.members())) == (StopReason.DEPARTURES, 10)
    confirmed = scenario.result(confirmed=True)
    assert (confirmed.error, confirmed.membership and confirmed.membership.removed) == (None, 8)


@dataclass(frozen=True, slots=True)
class Violating(DatabaseRecords):
    """Finds members that may not be e-mailed, as after a concurrent opt-out."""

    def count_suppressed(self, segment: Segment, erased: object) -> int:
        return 2


@pytest.mark.parametrize("push", [True, False])
def test_a_suppressed_member_stops_the_push(scenario: SyncScenario, *, push: bool) -> None:
    scenario.set_employees(ANN)
    violating = Violating(scenario.database, KEYRING, scenario.clock)
    (result,) = replace(sync_of(scenario, violating), push=push).results([scenario.segment])
    assert (result.stopped_by, scenario.status(ANN)) == (StopReason.CONSENT, None)
    assert "2 members of segment 'Everybody' opted out, were erased or did not consent" in (result.error or "")


def test_an_unsubscribe_in_one_audience_counts_in_all(scenario: SyncScenario, partners: Segment) -> None:
    scenario.set_employees(ANN, BOB)
    scenario.sync()
    scenario.sandbox.unsubscribe_by_link(LIST, ANN)
    assert scenario.results(partners)[partners.id].member_count == 1
    assert (scenario.status(ANN, PARTNERS), scenario.status(BOB, PARTNERS)) == (None, Status.SUBSCRIBED)


def test_opt_outs_reach_the_audiences_that_no_segment_feeds(scenario: SyncScenario, partners: Segment) -> None:
    scenario.set_employees(ANN, BOB)
    scenario.results(scenario.segment, partners)
    with scenario.database.organisation(scenario.organisation_id) as session:
        SegmentStore(session).delete(partners.id, by="alice", at=scenario.clock())
    scenario.state_preference("1", opted_in=False)
    scenario.sync()
    assert [scenario.status(ANN, list_id) for list_id in (LIST, PARTNERS)] == [Status.UNSUBSCRIBED] * 2


class Breaking(FakeSource):
    """Raises an unexpected error with a name in its text."""

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        frame = super().read(relation, organisation_id)
        raise KeyError(frame["first_name"].iloc[0])


def test_an_unexpected_error_is_reported_without_its_data(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN)
    scenario.source = Breaking(scenario.source.relations)
    result = scenario.result()
    assert (result.error or "").startswith("Unexpected KeyError")
    assert "in read" in (result.defect or "")
    assert "Ada" not in f"{result.error} {result.defect}"


@dataclass(frozen=True, slots=True)
class Away(DatabaseRecords):
    """A database that becomes unavailable before the first write."""

    def mark_ended(self, result: SegmentResult, run: SyncRun | None = None) -> None:
        raise TransientError("PostgreSQL is away.")

    def mark_syncing(self, segment: Segment) -> None:
        raise TransientError("PostgreSQL went away.")


def test_a_failure_that_cannot_be_stored_is_still_reported(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN)
    (result,) = sync_of(scenario, Away(scenario.database, KEYRING, scenario.clock)).results([scenario.segment])
    assert result.error == "PostgreSQL went away. (Nor could that be written down: PostgreSQL is away.)"


def nobody(organisation_id: str) -> Audiences:
    raise PermanentError(f"Organisation {organisation_id} is not connected.")


def test_a_disconnected_organisation_is_reported(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN)
    (result,) = replace(sync_of(scenario), audiences=nobody).results([scenario.segment])
    assert result.error == "Organisation acme is not connected."


def test_without_a_push_only_the_membership_is_made(scenario: SyncScenario) -> None:
    scenario.set_employees(ANN)
    (result,) = replace(sync_of(scenario), audiences=nobody, push=False).results([scenario.segment])
    assert (result.error, result.member_count, result.report) == (None, 1, None)
    assert (scenario.members(), scenario.stored().status) == ([ANN], SegmentStatus.PENDING)


_END_LOCKS = """
select pg_terminate_backend(pid, 60000) from pg_locks
where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Losing(DatabaseRecords):
    """Loses the audience's lock just before the push, this number of times."""

    times: Iterator[int] = field(default_factory=count)

    def mark_syncing(self, segment: Segment) -> None:
        DatabaseRecords.mark_syncing(self, segment)
        if next(self.times, None) is not None:
            with self.database.unrestricted() as connection:
                connection.execute(text(_END_LOCKS))


@pytest.mark.parametrize("times", [1, 99])
def test_a_sync_that_loses_its_audience_begins_again_a_few_times(scenario: SyncScenario, times: int) -> None:
    scenario.set_employees(ANN)
    losing = Losing(scenario.database, KEYRING, scenario.clock, iter(range(times)))
    (result,) = replace(sync_of(scenario, losing), database_retry=DatabaseRetry((0, 0))).results([scenario.segment])
    if times == 1:
        assert (result.error, scenario.status(ANN)) == (None, Status.SUBSCRIBED)
    else:
        assert "ended the connection that kept others from" in (result.error or "")
        assert scenario.status(ANN) is None


@dataclass(frozen=True, slots=True)
class Waiting(DatabaseRecords):
    """Continues with the second audience only after the sync is stopped."""

    begun: Event = field(default_factory=Event)
    stopping: Event = field(default_factory=Event)

    def mark_syncing(self, segment: Segment) -> None:
        DatabaseRecords.mark_syncing(self, segment)
        if segment.mailchimp_list_id == PARTNERS:
            self.begun.set()
            assert self.stopping.wait(TIMEOUT_SECONDS)


def test_closing_the_iterator_stops_the_work(scenario: SyncScenario, partners: Segment) -> None:
    last = scenario.add_segment("zzz")
    scenario.set_employees(ANN)
    records = Waiting(scenario.database, KEYRING, scenario.clock)
    sync = replace(sync_of(scenario, records), stopping=records.stopping)
    for first in sync.results([scenario.segment, partners, last]):
        assert (first.segment.id, first.error) == (scenario.segment.id, None)
        assert records.begun.wait(TIMEOUT_SECONDS)
        break
    assert "stopped before it was done" in (scenario.stored(partners).last_error or "")
    assert (scenario.status(ANN, PARTNERS), scenario.stored(last).status) == (None, SegmentStatus.PENDING)


@dataclass
class BreakingClock:
    """A clock that fails at the nth call."""

    breaks_at: int
    clock: SetClock
    asked: int = 0

    def __call__(self) -> datetime:
        self.asked += 1
        if self.asked == self.breaks_at:
            raise SystemExit
        return self.clock()


@pytest.mark.parametrize("breaks_at", [1, 2, 4])
def test_every_segment_has_one_result_also_where_a_thread_ends_before_its_time(
    scenario: SyncScenario, breaks_at: int
) -> None:
    scenario.set_employees(ANN)
    segments = [scenario.segment, scenario.add_segment()]
    sync = replace(sync_of(scenario), clock=BreakingClock(breaks_at, scenario.clock), push=False)
    results = list(sync.results(segments))
    assert sorted(result.segment.id for result in results) == sorted(each.id for each in segments)
    assert results[-1].error == "The run ended with SystemExit."
