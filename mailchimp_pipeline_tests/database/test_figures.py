"""The pipeline's metrics from real rows of all organisations."""

from datetime import UTC, datetime, timedelta

import pytest

from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.gauges import OUTCOMES, Queue, pipeline_figures
from mailchimp_pipeline.database.segment_store import SegmentProgress, SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.database.tables import ErasureRequestRow
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import Rejection, SyncReport
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, MINUTE, a_connection, a_segment

OTHER = "umbrella"


def synced(database: Database, segment: Segment, report: SyncReport, *, retries: int, at: datetime = AT) -> None:
    figures = {**report.as_dict(), "retries": retries, "seconds": 1.5}
    with database.organisation(segment.organisation_id) as session:
        SegmentProgress(session).mark_synced(segment.id, member_count=1, report=figures, at=at)


def ask(database: Database, segment: Segment, at: datetime) -> str:
    with database.organisation(segment.organisation_id) as session:
        request = SyncRequestStore(session).ask(segment.id, by="alice", at=at)
    assert request
    return request.id


def test_an_empty_database_has_figures_of_nothing(database: Database) -> None:
    figures = pipeline_figures(database)

    assert (figures.segments, figures.newest_sync_at, figures.rejected) == ({}, None, {})
    assert figures.waiting == figures.running == figures.erasures == Queue()


def test_last_syncs_are_summed_up_over_organisations(database: Database) -> None:
    for organisation_id, at in ((ACME, AT), (OTHER, AT + MINUTE)):
        a_connection(database, organisation_id)
        report = SyncReport(
            5,
            new=2,
            rejected={Rejection.FAKE: 1},
            waiting={Rejection.MERGE_FIELD: 1},
            withheld={Rejection.CLEANED: 2},
            calls=1,
        )
        synced(database, a_segment(database, organisation_id), report, retries=3, at=at)
    figures = pipeline_figures(database)

    assert figures.contacts == {**dict.fromkeys(OUTCOMES, 0), "new": 4, "rejected": 2, "waiting": 2, "withheld": 4}
    assert (figures.rejected, figures.calls, figures.retries) == ({"looks_fake": 2}, 2, 6)
    assert (figures.newest_sync_at, figures.oldest_sync_at) == (AT + MINUTE, AT)


def test_a_segment_that_never_was_synced_is_as_late_as_it_is_old(database: Database) -> None:
    a_connection(database)
    synced(database, a_segment(database), SyncReport(0), retries=0, at=AT + 5 * MINUTE)
    a_segment(database, name="New", at=AT + MINUTE)
    figures = pipeline_figures(database)

    assert figures.segments == {"synced": 1, "pending": 1}
    assert figures.oldest_sync_at == AT + MINUTE
    assert figures.longest_sync_seconds == 1.5


def test_a_sync_that_failed_before_it_had_figures_adds_none(database: Database) -> None:
    a_connection(database)
    synced(database, a_segment(database), SyncReport(2, new=2), retries=0)
    segment = a_segment(database, name="Failed")
    synced(database, segment, SyncReport(3, new=3), retries=0)
    with database.organisation(ACME) as session:
        SegmentProgress(session).mark_error(segment.id, "Mailchimp was away.", at=AT)

    assert pipeline_figures(database).contacts["new"] == 2


def test_inactive_segments_are_not_counted(database: Database) -> None:
    a_connection(database)
    with database.organisation(ACME) as session:
        SegmentStore(session).delete(a_segment(database).id, by="alice", at=AT)
    a_segment(database, OTHER)

    assert pipeline_figures(database).segments == {}


def test_the_queue_has_the_age_of_its_oldest_request(database: Database) -> None:
    now = datetime.now(UTC)
    segment = a_segment(database, name="Running")
    running = ask(database, segment, now - timedelta(hours=2))
    with database.organisation(ACME) as session:
        SyncRequestStore(session).start([running], segment_ids=[segment.id], run_id="r", at=now - timedelta(hours=1))
    for minutes in (10, 20):
        ask(database, a_segment(database, name=f"Waiting {minutes}"), now - timedelta(minutes=minutes))
    figures = pipeline_figures(database)

    assert (figures.waiting.size, figures.running.size) == (2, 1)
    assert figures.waiting.oldest_seconds == pytest.approx(1200, abs=60)
    assert figures.running.oldest_seconds == pytest.approx(3600, abs=60)


def test_pending_erasures_have_the_age_of_the_oldest(database: Database) -> None:
    asked = {"entity_hash": "h", "requested_by": "alice", "organisation_id": ACME}
    with database.organisation(ACME) as session:
        session.add(ErasureRequestRow(**asked, requested_at=datetime.now(UTC) - timedelta(days=2)))
        session.add(ErasureRequestRow(**asked, requested_at=AT, status="completed", completed_at=AT))
    erasures = pipeline_figures(database).erasures

    assert erasures.size == 1
    assert erasures.oldest_seconds == pytest.approx(2 * 86400, abs=60)


def test_a_key_that_mailchimp_refuses_is_counted(database: Database) -> None:
    a_connection(database, OTHER)
    a_connection(database)
    with database.organisation(ACME) as session:
        ConnectionStore(session, KEYRING).mark_key_refused(AT)
    figures = pipeline_figures(database)

    assert (figures.connections, figures.keys_refused) == (2, 1)


def test_a_clock_that_is_behind_makes_no_negative_age(database: Database) -> None:
    ask(database, a_segment(database), datetime.now(UTC) + timedelta(hours=1))

    assert pipeline_figures(database).waiting == Queue(1, 0.0)
