"""A run of many segments: each ends alone, whatever becomes of the others."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Event

import pandas as pd
import pytest

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.errors import LastingError, PassingError
from mailchimp_pipeline.runs.persistence import Persistence
from mailchimp_pipeline.runs.results import StopReason
from mailchimp_pipeline.segments import Segment, SegmentType
from mailchimp_pipeline.sync import Audiences, MemberStatus, Refusal
from mailchimp_pipeline_tests.fakes import FakeAudience, FakeAudiences
from mailchimp_pipeline_tests.ledger_values import Said
from mailchimp_pipeline_tests.runs.records_fake import FakeHold, FakeRecords
from mailchimp_pipeline_tests.runs.stage import AT, PARTNERS, STAFF, Stage, a_segment, a_source, employees
from mailchimp_pipeline_tests.source_fake import FakeSource
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS

PEOPLE = [f"p{number}@acme.test" for number in range(10)]


def test_a_segment_that_is_new_is_filled_and_says_what_it_did() -> None:
    stage, segment = Stage(a_source(*employees("ann@acme.test", "not an address"))), a_segment()
    result = stage.result(segment)
    assert (result.error, result.member_count, result.report and result.report.new) == (None, 1, 1)
    assert result.figures()["excluded"] == {"invalid_address": 1}
    assert stage.records.marks_of(segment) == ["syncing", "synced"]


def test_a_second_run_over_the_same_sends_nothing() -> None:
    stage, segment = Stage(a_source(*employees(*PEOPLE))), a_segment()
    stage.result(segment)
    result = stage.result(segment)
    assert (result.report and result.report.unchanged, stage.sent()) == (10, PEOPLE)


def test_organisations_get_their_own_people() -> None:
    both = [*employees("ann@acme.test"), *employees("gus@globex.test", organisation_id="globex")]
    stage = Stage(a_source(*both))
    mine, theirs = a_segment("1"), a_segment("2", organisation_id="globex", list_id=PARTNERS)
    assert {result.error for result in stage.results(theirs, mine).values()} == {None}
    by_list = {batch.list_id: [member.email for member in batch.members] for batch in stage.mailchimp.batches}
    assert by_list == {STAFF: ["ann@acme.test"], PARTNERS: ["gus@globex.test"]}


def test_one_bad_segment_does_not_stop_the_others() -> None:
    stage, bad, good = Stage(), a_segment("1", list_id="0000000000"), a_segment("2")
    results = stage.results(bad, good)
    assert "no audience 0000000000" in (results["1"].error or "")
    assert results["2"].error is None
    assert [stage.records.marks_of(bad)[-1][:6], stage.records.marks_of(good)[-1]] == ["error:", "synced"]


def test_a_missing_relation_fails_only_the_segments_that_need_it() -> None:
    stage = Stage(FakeSource({EntityType.EMPLOYEE: a_source().relations[EntityType.EMPLOYEE]}))
    kinds = {"1": SegmentType.EMPLOYEE, "2": SegmentType.VENDOR, "3": SegmentType.MIXED}
    results = stage.results(*(a_segment(segment_id, kind=kind) for segment_id, kind in kinds.items()))
    assert results["1"].error is None
    assert results["2"].error == results["3"].error
    assert "no vendors" in (results["2"].error or "")


def test_nobody_is_sent_while_it_cannot_be_read_where_who_opted_out_is_now() -> None:
    stage = Stage(FakeSource({EntityType.EMPLOYEE: a_source().relations[EntityType.EMPLOYEE]}))
    stage.records.ledger(a_segment()).said["vendor", "1"] = Said(opted_in=False, at=AT)
    result = stage.result(a_segment())
    assert "no vendors" in (result.error or "")
    assert stage.sent() == []


def test_a_source_that_cannot_be_read_at_all_fails_every_segment_with_its_reason() -> None:
    stage = Stage(FakeSource({}))
    results = stage.results(a_segment("1"), a_segment("2", kind=SegmentType.VENDOR))
    assert ["The source has no" in (result.error or "") for result in results.values()] == [True, True]
    assert stage.sent() == []


def test_a_source_that_was_emptied_changes_nothing() -> None:
    stage = Stage(a_source(*employees("gus@globex.test", organisation_id="globex")))
    result = stage.result(a_segment(member_count=40))
    assert "holds no employees of organisation acme" in (result.error or "")
    assert result.stopped_by is StopReason.DEPARTURES
    assert (stage.records.members, stage.sent()) == ({}, [])


def test_a_segment_that_never_had_members_may_be_empty() -> None:
    stage = Stage(a_source(*employees("gus@globex.test", organisation_id="globex")))
    assert stage.result(a_segment()).error is None


def test_where_a_member_opted_out_nothing_is_sent() -> None:
    stage = Stage(records=FakeRecords(violating={"1": 2}))
    result = stage.result(a_segment())
    assert (result.stopped_by, stage.sent()) == (StopReason.CONSENT, [])
    assert "2 members of segment 'Everybody' opted out, were erased or did not consent" in (result.error or "")


def test_a_member_who_opted_out_is_found_also_where_nothing_is_to_be_sent() -> None:
    stage = Stage(records=FakeRecords(violating={"1": 2}))
    assert stage.results(a_segment(), push=False)["1"].stopped_by is StopReason.CONSENT


def test_where_too_many_would_leave_nobody_does_until_a_person_confirms() -> None:
    stage, segment = Stage(a_source(*employees(*PEOPLE))), a_segment()
    stage.result(segment)
    stage.source = a_source(*employees(*PEOPLE[:2]))
    stopped = stage.result(segment)
    assert (stopped.stopped_by, len(stage.records.members["1"])) == (StopReason.DEPARTURES, 10)
    (confirmed,) = stage.run(confirmed=frozenset({"1"})).results([segment])
    assert (confirmed.error, confirmed.membership and confirmed.membership.removed) == (None, 8)


def test_who_unsubscribed_in_one_audience_is_pushed_to_none() -> None:
    stage = Stage(a_source(*employees("ann@acme.test", "bob@acme.test")))
    staff, partners = a_segment("1"), a_segment("2", list_id=PARTNERS)
    stage.result(staff)
    stage.mailchimp.put(STAFF, "ann@acme.test", MemberStatus.UNSUBSCRIBED)
    results = stage.results(partners, staff)
    assert {result.member_count for result in results.values()} == {1}
    assert stage.mailchimp.member(PARTNERS, "ann@acme.test") is None


def test_what_mailchimp_refuses_fails_no_segment() -> None:
    stage = Stage(mailchimp=FakeAudiences(FakeAudience(STAFF, refusals={"ann@acme.test": Refusal.FAKE})))
    result = stage.result(a_segment())
    assert (result.error, result.report and result.report.refused) == (None, {Refusal.FAKE: 1})


class Breaking(FakeSource):
    """Raises what nobody foresaw, with a person's name in it."""

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        frame = super().read(relation, organisation_id)
        if organisation_id == "acme":
            raise KeyError(frame["first_name"].iloc[0])
        return frame


def test_an_unforeseen_error_is_told_without_the_data_in_it() -> None:
    both = [*employees("ann@acme.test"), *employees("gus@globex.test", organisation_id="globex")]
    stage = Stage(Breaking(a_source(*both).relations))
    results = stage.results(a_segment("1"), a_segment("2", organisation_id="globex", list_id=PARTNERS))
    assert (results["1"].error or "").startswith("Unforeseen KeyError")
    assert "in read" in (results["1"].defect or "")
    assert "Ada" not in f"{results['1'].error} {results['1'].defect}"
    assert results["2"].error is None


class Away(FakeRecords):
    """A database that went away before anything could be written."""

    def mark_failed(self, segment: Segment, error: str, stopped_by: StopReason | None = None) -> None:
        raise PassingError("PostgreSQL is away.")

    def mark_syncing(self, segment: Segment) -> None:
        raise PassingError("PostgreSQL went away.")


def test_a_failure_that_cannot_be_written_down_is_still_told() -> None:
    result = Stage(records=Away()).result(a_segment())
    assert result.error == "PostgreSQL went away. (Nor could that be written down: PostgreSQL is away.)"


class Disconnected(Stage):
    """Nobody is connected."""

    def audiences(self, organisation_id: str) -> Audiences:
        raise LastingError(f"Organisation {organisation_id} is not connected.")


def test_an_organisation_that_is_not_connected_is_told_so() -> None:
    assert Disconnected().result(a_segment()).error == "Organisation acme is not connected."


def test_an_audience_that_is_taken_is_left_alone() -> None:
    stage = Stage(records=FakeRecords(held={STAFF}))
    results = stage.results(a_segment("1"), a_segment("2", list_id=PARTNERS))
    assert (results["1"].error, results["2"].error) == (f"Somebody is at audience {STAFF}.", None)


def test_without_a_push_only_the_membership_is_made() -> None:
    stage, segment = Disconnected(), a_segment()
    result = stage.results(segment, push=False)["1"]
    assert (result.error, result.member_count, result.report) == (None, 1, None)
    assert stage.records.marks_of(segment) == []


def test_a_sync_that_lost_its_audience_stops_at_once_and_begins_again() -> None:
    stage, segment = Stage(records=FakeRecords(hold=FakeHold(lost_at=frozenset({1})))), a_segment()
    (result,) = replace(stage.run(), persistence=Persistence((0,))).results([segment])
    assert (result.error, stage.records.marks_of(segment)) == (None, ["syncing", "syncing", "synced"])


def test_a_sync_that_loses_its_audience_again_and_again_says_so() -> None:
    stage, segment = Stage(records=FakeRecords(hold=FakeHold(lost_at=frozenset(range(99))))), a_segment()
    (result,) = replace(stage.run(), persistence=Persistence((0, 0))).results([segment])
    assert (result.error, stage.mailchimp.batches) == ("The audience is not held any more.", [])


@dataclass
class Waiting(FakeRecords):
    """Goes on with the segment 2 only when the run is stopped."""

    begun: Event = field(default_factory=Event)
    stopping: Event = field(default_factory=Event)

    def mark_syncing(self, segment: Segment) -> None:
        super().mark_syncing(segment)
        if segment.id == "2":
            self.begun.set()
            assert self.stopping.wait(PATIENCE_SECONDS)


def test_whoever_stops_iterating_stops_the_work() -> None:
    records = Waiting()
    segments = [a_segment("1"), a_segment("2", list_id=PARTNERS), a_segment("3", list_id=PARTNERS)]
    run = replace(Stage(records=records).run(), stopping=records.stopping)
    for first in run.results(segments):
        assert (first.segment.id, first.error) == ("1", None)
        assert records.begun.wait(PATIENCE_SECONDS)
        break
    assert [records.marks_of(segment)[:1] for segment in segments] == [["syncing"], ["syncing"], []]
    assert "stopped before it was done" in records.marks_of(segments[1])[-1]


def ticking(breaks_at: int) -> Clock:
    """Return a clock that breaks when it is asked for the n-th time."""
    asked = 0

    def tell() -> datetime:
        nonlocal asked
        asked += 1
        if asked == breaks_at:
            raise SystemExit
        return AT + timedelta(seconds=asked)

    return tell


@pytest.mark.parametrize("breaks_at", [1, 2, 4])
def test_every_segment_has_one_result_also_where_a_thread_ends_before_its_time(breaks_at: int) -> None:
    stage = Stage(clock=ticking(breaks_at))
    results = list(stage.run().results([a_segment("1"), a_segment("2")]))
    assert [result.segment.id for result in results] == ["1", "2"]
    assert results[-1].error == "The run ended with SystemExit."
