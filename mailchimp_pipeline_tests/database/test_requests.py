"""Sync requests, from creation to end."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.sync_request_store import RequestStatus, SyncRequest, SyncRequestStore, open_requests
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline_tests.database.builders import ACME, AT, MINUTE, a_segment, start_in_thread


def ask(database: Database, segment: Segment, by: str = "alice") -> SyncRequest:
    with database.organisation(segment.organisation_id) as session:
        request = SyncRequestStore(session).ask(segment.id, by=by, at=AT)
    assert request is not None
    return request


def stored(database: Database, request: SyncRequest) -> SyncRequest:
    with database.organisation(request.organisation_id) as session:
        found = SyncRequestStore(session).get(request.id)
    assert found is not None
    return found


def start(
    session: OrganisationSession, request: SyncRequest, *, run_id: str = "run-1", at: datetime = AT
) -> tuple[SyncRequest, ...]:
    return SyncRequestStore(session).start([request.id], segment_ids=[request.segment_id], run_id=run_id, at=at)


def waiting(database: Database) -> list[str]:
    with database.everyone() as session:
        return [request.id for request in open_requests(session) if request.status is RequestStatus.WAITING]


def test_requesting_twice_creates_one_request(database: Database) -> None:
    segment = a_segment(database)
    first, second = ask(database, segment), ask(database, segment, by="bob")
    assert first == second
    assert first.partition_key == segment.partition_key
    with database.organisation(ACME) as session:
        asked = [entry.action for entry in audit_log.entries(session, limit=10).items]
    assert asked.count("segment.sync_requested") == 1


def test_concurrent_requests_for_a_segment_become_one(database: Database) -> None:
    segment = a_segment(database)
    with ThreadPoolExecutor(4) as pool:
        requests = list(pool.map(ask, [database] * 8, [segment] * 8))
    assert len({request.id for request in requests}) == 1


def test_a_foreign_or_deleted_segment_cannot_be_requested(database: Database) -> None:
    segment = a_segment(database)
    with database.organisation("globex") as session:
        assert SyncRequestStore(session).ask(segment.id, by="mallory", at=AT) is None
    with database.organisation(ACME) as session:
        SegmentStore(session).delete(segment.id, by="alice", at=AT)
        assert SyncRequestStore(session).ask(segment.id, by="alice", at=AT) is None


def test_a_confirmation_of_departures_for_a_waiting_request_is_audited(database: Database) -> None:
    segment = a_segment(database)
    for by, confirmed in (("alice", False), ("bob", True), ("carol", True), ("dave", False)):
        with database.organisation(ACME) as session:
            request = SyncRequestStore(session).ask(segment.id, by=by, at=AT, departures_confirmed=confirmed)
    assert request is not None
    assert (request.requested_by, request.departures_confirmed) == ("alice", True)
    with database.organisation(ACME) as session:
        audited = [(entry.actor, entry.action) for entry in audit_log.entries(session, limit=2).items]
    assert audited == [("bob", "segment.departures_confirmed"), ("alice", "segment.sync_requested")]


def test_a_request_during_the_deletion_of_its_segment_finds_no_segment(database: Database) -> None:
    segment = a_segment(database)

    def asked() -> SyncRequest | None:
        with database.organisation(ACME) as session:
            return SyncRequestStore(session).ask(segment.id, by="bob", at=AT)

    with ThreadPoolExecutor(1) as pool:
        with database.organisation(ACME) as session:
            SegmentStore(session).delete(segment.id, by="alice", at=AT)
            asking = start_in_thread(database, pool, asked)
        assert asking.result() is None


def test_a_request_that_is_taken_up_waits_no_longer_and_another_may_follow(database: Database) -> None:
    segment = a_segment(database)
    first = ask(database, segment)
    with database.organisation(ACME) as session:
        assert start(session, first, at=AT + MINUTE)
    second = ask(database, segment)
    assert waiting(database) == [second.id]
    assert (stored(database, first).run_id, stored(database, first).started_at) == ("run-1", AT + MINUTE)


def test_a_request_ends_with_its_run(database: Database) -> None:
    request = ask(database, a_segment(database))
    with database.organisation(ACME) as session:
        store = SyncRequestStore(session)
        start(session, request)
        store.finish(request.id, at=AT + MINUTE)
        assert not start(session, request, run_id="run-2")
        store.fail(request.id, "Too late to fail.", at=AT + MINUTE)
    ended = stored(database, request)
    assert (ended.status, ended.finished_at, ended.error) == ("done", AT + MINUTE, None)


def test_a_retried_run_takes_over_a_failed_request(database: Database) -> None:
    request = ask(database, a_segment(database))
    with database.organisation(ACME) as session:
        store = SyncRequestStore(session)
        start(session, request)
        store.fail(request.id, "Mailchimp was away.", at=AT)
        assert start(session, request, run_id="run-2")
        store.finish(request.id, at=AT)
    assert (stored(database, request).status, stored(database, request).run_id) == ("done", "run-2")


def test_a_run_wrongly_taken_for_dead_finishes_its_request(database: Database) -> None:
    request = ask(database, a_segment(database))
    with database.organisation(ACME) as session:
        store = SyncRequestStore(session)
        start(session, request)
        store.fail(request.id, "The run stopped before it finished.", at=AT)
        store.finish(request.id, at=AT + MINUTE)
    ended = stored(database, request)
    assert (ended.status, ended.finished_at, ended.error) == ("done", AT + MINUTE, None)


def test_a_waiting_request_can_fail_but_not_finish(database: Database) -> None:
    request = ask(database, a_segment(database))
    with database.organisation(ACME) as session:
        SyncRequestStore(session).finish(request.id, at=AT)
    assert waiting(database) == [request.id]
    with database.organisation(ACME) as session:
        SyncRequestStore(session).fail(request.id, "The run was cancelled.", at=AT)
    assert waiting(database) == []


def test_a_request_of_another_organisation_is_not_there(database: Database) -> None:
    request = ask(database, a_segment(database))
    with database.organisation("globex") as session:
        assert SyncRequestStore(session).get(request.id) is None
        assert not start(session, request)
