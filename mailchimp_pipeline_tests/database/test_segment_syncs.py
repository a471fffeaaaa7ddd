"""The history of a segment: what is stored of each sync, for how long, and what it has from the audit log."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from alembic import command
from sqlalchemy import text

from mailchimp_pipeline.database.migrations import migrate, migrations
from mailchimp_pipeline.database.segment_store import SegmentProgress, SegmentStore, fail_abandoned
from mailchimp_pipeline.database.segment_sync_store import KEPT, past_syncs
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.database.tables import SegmentSyncRow
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync.segment_results import StopReason, SyncRun, Trigger
from mailchimp_pipeline_tests.database.builders import ACME, AT, MINUTE, a_segment

RUN = SyncRun("run-1", Trigger.SCHEDULE)
DAY = timedelta(days=1)


def syncs(database: Database, segment: Segment) -> Sequence[SegmentSyncRow]:
    """Return the segment's syncs, latest first."""
    with database.organisation(segment.organisation_id) as session:
        found = past_syncs(session, segment.id, limit=100).items
        session.expunge_all()
    return found


def described(sync: SegmentSyncRow) -> tuple[object, ...]:
    return sync.started_at, sync.ended_at, sync.trigger, sync.run_id, sync.error, sync.stopped_by, sync.figures


def test_a_sync_is_stored_with_its_run_its_times_and_its_figures(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        progress = SegmentProgress(session)
        progress.mark_synced(segment.id, member_count=3, report={"new": 3}, at=AT + MINUTE, started_at=AT, run=RUN)
        progress.mark_error(
            segment.id, "Stopped.", at=AT + 2 * MINUTE, stopped_by=StopReason.DEPARTURES, started_at=AT, run=RUN
        )
    assert [described(sync) for sync in syncs(database, segment)] == [
        (AT, AT + 2 * MINUTE, "schedule", "run-1", "Stopped.", "departures", None),
        (AT, AT + MINUTE, "schedule", "run-1", None, None, {"new": 3}),
    ]


@pytest.mark.parametrize("is_requested", [True, False])
def test_an_abandoned_sync_is_stored_with_its_run_if_it_was_requested(database: Database, is_requested: bool) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        if is_requested and (request := SyncRequestStore(session).ask(segment.id, by="alice", at=AT)):
            SyncRequestStore(session).start([request.id], segment_ids=[segment.id], run_id="run-1", at=AT)
        SegmentProgress(session).mark_syncing(segment.id, at=AT)
    assert fail_abandoned(database, at=AT + MINUTE) == 1
    (sync,) = syncs(database, segment)
    assert (sync.started_at, sync.ended_at, sync.figures) == (AT, AT + MINUTE, None)
    assert (sync.trigger, sync.run_id) == (("request", "run-1") if is_requested else (None, None))
    assert "stopped before it finished" in (sync.error or "")


def test_a_sync_that_its_run_did_not_reach_has_not_started(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        SegmentProgress(session).mark_untouched([segment.id], "Stopped.", since=AT + MINUTE, at=AT + MINUTE, run=RUN)
    assert [described(sync) for sync in syncs(database, segment)] == [
        (None, AT + MINUTE, "schedule", "run-1", "Stopped.", None, None)
    ]


def test_old_syncs_are_deleted_when_their_segment_is_synced_and_those_of_others_stay(database: Database) -> None:
    segment, other = a_segment(database), a_segment(database)
    with database.organisation(ACME) as session:
        progress = SegmentProgress(session)
        for each, at in ((segment, AT), (other, AT), (segment, AT + DAY), (segment, AT + KEPT + DAY)):
            progress.mark_synced(each.id, member_count=0, report={}, at=at)
    assert [sync.ended_at for sync in syncs(database, segment)] == [AT + KEPT + DAY, AT + DAY]
    assert [sync.ended_at for sync in syncs(database, other)] == [AT]


def test_a_deleted_segment_has_no_history(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation(ACME) as session:
        SegmentProgress(session).mark_synced(segment.id, member_count=0, report={}, at=AT)
        SegmentStore(session).delete(segment.id, by="alice", at=AT)
    assert syncs(database, segment) == ()


def test_the_migration_takes_the_history_from_the_audit_log_once(database: Database, database_url: str) -> None:
    segment, gone = a_segment(database), a_segment(database)
    figures: dict[str, object] = {"new": 3, "seconds": 60.0, "excluded": {"opted_out": 1}}
    with database.organisation(ACME) as session:
        progress = SegmentProgress(session)
        progress.mark_syncing(segment.id, at=AT)
        progress.mark_synced(segment.id, member_count=3, report=figures, at=AT + MINUTE)
        progress.mark_error(segment.id, "Stopped.", at=AT + 2 * MINUTE, stopped_by=StopReason.REJECTIONS)
        progress.mark_synced(gone.id, member_count=3, report=figures, at=AT)
        SegmentStore(session).delete(gone.id, by="alice", at=AT)
    with database.unrestricted() as connection:
        command.downgrade(migrations(connection), "0007")
    migrate(database_url)
    with database.unrestricted() as connection, connection.begin():
        connection.execute(text("update mailchimp_pipeline_revision set version_num = '0007'"))
    migrate(database_url)
    assert [described(sync) for sync in syncs(database, segment)] == [
        (None, AT + 2 * MINUTE, None, None, "Stopped.", "rejections", None),
        (AT, AT + MINUTE, None, None, None, None, figures),
    ]
    assert syncs(database, gone) == ()
