"""Segments as users change them and as runs update them."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.locks import hold_audience
from mailchimp_pipeline.database.paging import CursorInvalid
from mailchimp_pipeline.database.segment_store import (
    NewSegment,
    SegmentProgress,
    SegmentStore,
    due_partition_keys,
    due_segments,
    fail_abandoned,
    not_synced_since,
)
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.database.tables import SegmentMemberRow, SegmentRow
from mailchimp_pipeline.segments import FilterCriteria, OnLeave, Segment, SegmentStatus, SegmentType
from mailchimp_pipeline_tests.database.builders import (
    ACME,
    AT,
    KEYRING,
    LIST,
    MINUTE,
    a_connection,
    a_member,
    a_segment,
    put_members,
)


def stored(database: Database, segment: Segment) -> Segment:
    with database.organisation(segment.organisation_id) as session:
        found = SegmentStore(session).get(segment.id)
    assert found is not None
    return found


def mark_syncing(database: Database, segment: Segment) -> None:
    with database.organisation(segment.organisation_id) as session:
        SegmentProgress(session).mark_syncing(segment.id, at=AT)


def entries(database: Database) -> list[audit_log.Entry]:
    with database.organisation(ACME) as session:
        return list(reversed(audit_log.entries(session, limit=100).items))


def test_a_segment_is_stored_as_it_was_made(database: Database) -> None:
    criteria = FilterCriteria(department=("Sales", "Ops"), employment_type=("full_time",))
    new = NewSegment("Sales", SegmentType.EMPLOYEE, LIST, "All of it", "Staff", criteria, OnLeave.ARCHIVE)
    with database.organisation(ACME) as session:
        made = SegmentStore(session).create(new, by="alice", at=AT)
    assert stored(database, made) == made
    assert (made.filter_criteria, made.on_leave, made.status) == (criteria, OnLeave.ARCHIVE, SegmentStatus.PENDING)
    assert [(entry.actor, entry.action) for entry in entries(database)] == [("alice", "segment.created")]


def test_fields_missing_in_a_change_stay(database: Database) -> None:
    segment = a_segment(database)
    criteria = FilterCriteria(location=("Berlin",))
    with database.organisation(ACME) as session:
        changed = SegmentStore(session).update(segment.id, {"filter_criteria": criteria}, by="bob", at=AT + MINUTE)
    assert changed == replace(segment, filter_criteria=criteria, updated_at=AT + MINUTE)
    assert stored(database, segment) == changed
    assert entries(database)[-1].details == {"changed": ["filter_criteria"]}


def test_every_field_that_may_change_can(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        changed = SegmentStore(session).update(
            segment.id, {"name": "New", "description": None, "on_leave": OnLeave.ARCHIVE}, by="bob", at=AT
        )
    assert changed == replace(segment, name="New", description=None, on_leave=OnLeave.ARCHIVE)


@pytest.mark.parametrize("segment_id", ["no-such-segment", "00000000-0000-0000-0000-000000000000"])
def test_a_segment_that_is_not_there_is_none(database: Database, segment_id: str) -> None:
    with database.organisation(ACME) as session:
        store = SegmentStore(session)
        found = (
            store.get(segment_id),
            store.update(segment_id, {}, by="a", at=AT),
            store.delete(segment_id, by="a", at=AT),
        )
    assert found == (None, None, None)


def test_a_segment_of_another_organisation_is_not_there(database: Database) -> None:
    segment = a_segment(database, "globex")
    with database.organisation(ACME) as session:
        assert SegmentStore(session).get(segment.id) is None
        assert SegmentStore(session).delete(segment.id, by="a", at=AT) is None
        assert SegmentStore(session).list(limit=10).items == ()


def test_pages_hold_newest_first_and_keep_their_place(database: Database) -> None:
    made = [a_segment(database, name=str(number), at=AT + (number // 2) * MINUTE) for number in range(5)]
    with database.organisation(ACME) as session:
        first = SegmentStore(session).list(limit=2)
    a_segment(database, name="newer", at=AT + 9 * MINUTE)
    with database.organisation(ACME) as session:
        second = SegmentStore(session).list(limit=2, cursor=first.next_cursor)
        third = SegmentStore(session).list(limit=2, cursor=second.next_cursor)
    listed = [*first.items, *second.items, *third.items]
    assert listed == sorted(made, key=lambda segment: (segment.created_at, segment.id), reverse=True)
    assert third.next_cursor is None


def test_a_cursor_of_another_list_is_refused(database: Database) -> None:
    a_segment(database)
    with database.organisation(ACME) as session:
        audit_log.write(session, audit_log.Entry("a", "b", audit_log.Entity("c", "d"), AT))
        cursor = audit_log.entries(session, limit=1).next_cursor
        with pytest.raises(CursorInvalid):
            SegmentStore(session).list(limit=1, cursor=cursor)


def test_a_deleted_segment_leaves_lists_members_and_waiting_requests_but_stays_stored(database: Database) -> None:
    segment = a_segment(database)
    put_members(database, segment, a_member())
    with database.organisation(ACME) as session:
        request = SyncRequestStore(session).ask(segment.id, by="alice", at=AT)
        assert request is not None
        deleted = SegmentStore(session).delete(segment.id, by="alice", at=AT)
        ended = SyncRequestStore(session).get(request.id)
        assert (session.scalars(select(SegmentMemberRow)).all(), SegmentStore(session).get(segment.id)) == ([], None)
        assert session.scalars(select(SegmentRow.soft_deleted_at)).one() == AT
    assert deleted is not None
    assert deleted.soft_deleted_at == AT
    assert ended is not None
    assert ended.error == "The segment was deleted."


def test_a_sync_that_ends_well_keeps_its_figures_and_clears_the_error(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        progress = SegmentProgress(session)
        progress.mark_error(segment.id, "Mailchimp was away.", at=AT)
        progress.mark_syncing(segment.id, at=AT)
        progress.mark_synced(segment.id, member_count=3, report={"new": 2}, at=AT + MINUTE)
    after = stored(database, segment)
    assert (after.status, after.last_error, after.member_count) == (SegmentStatus.SYNCED, None, 3)
    assert (after.last_report, after.last_synced_at, after.updated_at) == ({"new": 2}, AT + MINUTE, AT)
    audited = [(entry.actor, entry.action, entry.details) for entry in entries(database)[1:]]
    assert audited == [
        (audit_log.PIPELINE, "segment.failed", {"error": "Mailchimp was away."}),
        (audit_log.PIPELINE, "segment.syncing", {}),
        (audit_log.PIPELINE, "segment.synced", {"member_count": 3, "new": 2}),
    ]


def test_a_failed_sync_keeps_the_figures_of_the_last_good_one(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        SegmentProgress(session).mark_synced(segment.id, member_count=3, report={}, at=AT)
        SegmentProgress(session).mark_error(segment.id, "Mailchimp was away.", at=AT + MINUTE)
    after = stored(database, segment)
    assert (after.status, after.last_error) == (SegmentStatus.ERROR, "Mailchimp was away.")
    assert (after.member_count, after.last_synced_at) == (3, AT)


def test_a_deleted_segment_keeps_its_status(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        SegmentStore(session).delete(segment.id, by="alice", at=AT)
        SegmentProgress(session).mark_syncing(segment.id, at=AT)
        SegmentProgress(session).mark_synced(segment.id, member_count=1, report={}, at=AT)
        SegmentProgress(session).mark_error(segment.id, "x", at=AT)
    assert entries(database)[-1].action == "segment.deleted"


def test_only_segments_without_a_newer_status_are_put_into_error(database: Database) -> None:
    untouched, moved = a_segment(database), a_segment(database)
    with database.organisation(ACME) as session:
        progress = SegmentProgress(session)
        progress.mark_syncing(moved.id, at=AT + MINUTE)
        since = AT + MINUTE
        marked = progress.mark_untouched([untouched.id, moved.id], "Stopped.", since=since, at=since)
    assert marked == [untouched.id]
    assert stored(database, untouched).last_error == "Stopped."
    assert stored(database, moved).status is SegmentStatus.SYNCING


def test_due_are_live_segments_of_connected_organisations(database: Database) -> None:
    for organisation_id in ("initech", ACME, "globex"):
        a_connection(database, organisation_id)
    mine, gone, theirs, _ = (a_segment(database, it) for it in (ACME, ACME, "globex", "initech"))
    a_segment(database, "never-connected")
    with database.organisation(ACME) as session:
        SegmentStore(session).delete(gone.id, by="alice", at=AT)
    with database.organisation("initech") as session:
        ConnectionStore(session, KEYRING).disconnect(by="alice", at=AT)
    with database.everyone() as session:
        assert due_segments(session) == (mine, theirs)
        assert due_segments(session, [theirs.partition_key, gone.partition_key]) == (theirs,)
        assert due_partition_keys(session) == (mine.partition_key, theirs.partition_key)


def test_late_are_segments_never_synced_synced_before_or_in_error(database: Database) -> None:
    a_connection(database)
    never, before, after, failed = (a_segment(database) for _ in range(4))
    a_segment(database, at=AT + 9 * MINUTE)
    with database.organisation(ACME) as session:
        progress = SegmentProgress(session)
        progress.mark_synced(before.id, member_count=0, report={}, at=AT)
        for segment in (after, failed):
            progress.mark_synced(segment.id, member_count=0, report={}, at=AT + MINUTE)
        progress.mark_error(failed.id, "x", at=AT + MINUTE)
    with database.everyone() as session:
        late = {segment.id for segment in not_synced_since(session, AT + MINUTE)}
    assert late == {never.id, before.id, failed.id}


def test_a_segment_whose_run_died_says_so_and_ends_its_request(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        request = SyncRequestStore(session).ask(segment.id, by="alice", at=AT)
        assert request is not None
        SyncRequestStore(session).start([request.id], segment_ids=[segment.id], run_id="run-1", at=AT)
    mark_syncing(database, segment)
    assert [fail_abandoned(database, at=AT), fail_abandoned(database, at=AT)] == [1, 0]
    with database.organisation(ACME) as session:
        ended = SyncRequestStore(session).get(request.id)
    assert "stopped before it finished" in (stored(database, segment).last_error or "")
    assert ended is not None
    assert ended.status == "failed"


def test_a_segment_whose_audience_is_held_is_not_abandoned(database: Database) -> None:
    segment = a_segment(database)
    with hold_audience(database, ACME, LIST):
        mark_syncing(database, segment)
        assert fail_abandoned(database, at=AT) == 0
    assert fail_abandoned(database, at=AT) == 1
