"""Sync requests and asset checks without Dagster: PostgreSQL, files and the sandbox."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import text, update

from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_store import SegmentProgress, SegmentStore
from mailchimp_pipeline.database.sync_request_store import RequestStatus, SyncRequest, SyncRequestStore
from mailchimp_pipeline.database.tables import SegmentRow
from mailchimp_pipeline.segments import Segment, SegmentStatus
from mailchimp_pipeline.services.stopped_run import StoppedRun
from mailchimp_pipeline.sync.segment_results import SegmentResult, StopReason
from mailchimp_pipeline_tests.database.builders import ACME, AT, MINUTE, a_segment
from mailchimp_pipeline_tests.runs.company import Company
from mailchimp_pipeline_tests.source_fake import an_employee


def records(company: Company) -> DatabaseRecords:
    parts = company.pipeline.resources
    return DatabaseRecords(parts.database, parts.keyring, lambda: AT)


def sync(company: Company, *keys: str) -> list[SegmentResult]:
    return list(company.pipeline.sync(keys, run_id="run", push=True))


def ask(company: Company, segment_id: str) -> SyncRequest:
    with company.pipeline.resources.database.organisation(ACME) as session:
        request = SyncRequestStore(session).ask(segment_id, by="alice", at=AT)
    assert request
    return request


def start(company: Company, request: SyncRequest, run_id: str) -> Sequence[SyncRequest]:
    return records(company).start_requests([request.id], [company.segment], run_id)


def store_for_a_newer_version(company: Company, segment: Segment, column: str, value: object) -> None:
    """Store a value that only a newer version knows."""
    with company.pipeline.resources.database.unrestricted() as connection:
        constraint = f"alter table contact_segments drop constraint if exists ck_contact_segments_{column}_known"
        connection.execute(text(constraint))
        connection.execute(update(SegmentRow).where(SegmentRow.id == UUID(segment.id)).values({column: value}))
        connection.commit()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("filter_criteria", {"department": ["Legal"], "cost_centre": ["7"]}, "criterion 'cost_centre'"),
        ("filter_criteria", {"department": {"not": "Legal"}}, "criterion 'department'"),
        ("segment_type", "contractor", "segment type 'contractor'"),
        ("on_leave", "delete", "onLeave 'delete'"),
    ],
)
def test_a_segment_that_a_newer_version_stored_is_in_error_and_the_others_are_synced(
    company: Company, column: str, value: object, said: str
) -> None:
    newer = a_segment(company.pipeline.resources.database, name="Newer")
    store_for_a_newer_version(company, newer, column, value)
    assert set(company.pipeline.due_partition_keys()) == {newer.partition_key, company.segment.partition_key}
    results = sync(company, newer.partition_key, company.segment.partition_key)
    errors = {result.segment.name: result.error for result in results}
    assert errors["Everybody"] is None
    assert f"does not know its {said}. Upgrade this version" in (errors["Newer"] or "")
    (stored,) = records(company).segments([newer.partition_key])
    assert (stored.status, stored.last_error) == (SegmentStatus.ERROR, errors["Newer"])
    with company.pipeline.resources.database.organisation(ACME) as session:
        assert {each.name for each in SegmentStore(session).list(limit=9).items} == {"Newer", "Everybody"}


def test_asset_checks_speak_of_the_last_sync_of_every_segment(company: Company) -> None:
    database = company.pipeline.resources.database
    rejected, collapsed, against_consent, fine = (a_segment(database, name=name) for name in "rcaf")
    with database.organisation(ACME) as session:
        progress = SegmentProgress(session)
        progress.mark_synced(fine.id, member_count=4, report={}, at=AT)
        progress.mark_error(rejected.id, "x", at=AT, stopped_by=StopReason.REJECTIONS)
        progress.mark_error(collapsed.id, "x", at=AT, stopped_by=StopReason.DEPARTURES)
        progress.mark_error(against_consent.id, "x", at=AT, stopped_by=StopReason.CONSENT)
        progress.mark_error(fine.id, "x", at=AT, stopped_by=StopReason.CONSENT)
        progress.mark_error(fine.id, "Mailchimp was away.", at=AT + MINUTE)
    checked = company.pipeline.checked_segments()
    found = [[each.name for each in names] for names in (checked.against_consent, checked.collapsed, checked.rejected)]
    assert (checked.count, found) == (5, [["a"], ["c"], ["r"]])


def test_a_collapsed_segment_stays_named_while_others_are_synced(company: Company) -> None:
    other = a_segment(company.pipeline.resources.database, name="Others")
    company.set_employees(*(an_employee(id=str(number), email=f"p{number}@acme.test") for number in range(20)))
    assert [each.error for each in sync(company, company.segment.partition_key)] == [None]
    company.set_employees()
    assert "holds no employees and vendors" in (company.sync().error or "")
    assert [each.error for each in sync(company, other.partition_key)] == [None]
    checked = company.pipeline.checked_segments()
    assert [each.partition_key for each in checked.collapsed] == [company.segment.partition_key]
    company.set_employees(an_employee())
    assert "would leave at once" in (company.sync().error or "")
    assert len(company.pipeline.checked_segments().collapsed) == 1
    assert company.sync(company.request_sync(departures_confirmed=True)).error is None
    assert company.pipeline.checked_segments().collapsed == []


def test_a_request_ends_with_its_run(company: Company) -> None:
    asked = company.request_sync()
    assert company.pipeline.open_requests() == (asked,)
    (started,) = start(company, asked, "run-0")
    assert company.pipeline.open_requests() == (started,)
    assert (started.status, started.run_id, started.started_at) == (RequestStatus.RUNNING, "run-0", AT)
    company.sync(asked)
    assert company.pipeline.open_requests() == ()
    assert (company.stored_request(asked).status, company.stored_request(asked).run_id) == (RequestStatus.DONE, "run-1")


def test_a_request_whose_sync_fails_says_why(company: Company) -> None:
    (company.files / "vendors.csv").unlink()
    asked = company.request_sync()
    error = company.sync(asked).error
    assert (company.stored_request(asked).status, company.stored_request(asked).error) == (RequestStatus.FAILED, error)


def test_one_run_ends_all_the_requests_that_it_was_given_and_no_other(company: Company) -> None:
    database = company.pipeline.resources.database
    more, unasked = a_segment(database, name="More", list_id="0123456789"), a_segment(database, name="Not asked for")
    requests = [ask(company, segment.id) for segment in (company.segment, more, unasked)]
    keys = [company.segment.partition_key, more.partition_key]
    given = [request.id for request in requests[:2]]
    results = list(company.pipeline.sync(keys, run_id="run-1", push=True, request_ids=given))
    ended = [company.stored_request(request) for request in requests]
    assert [request.status for request in ended] == [RequestStatus.DONE, RequestStatus.FAILED, RequestStatus.WAITING]
    assert ended[1].error == next(result.error for result in results if result.segment.id == more.id)


def test_a_request_whose_segment_was_deleted_keeps_no_other_from_its_run(company: Company) -> None:
    gone = a_segment(company.pipeline.resources.database, name="Gone")
    requests = [company.request_sync(), ask(company, gone.id)]
    with company.pipeline.resources.database.organisation(ACME) as session:
        SegmentStore(session).delete(gone.id, by="alice", at=AT)
    keys, given = [company.segment.partition_key, gone.partition_key], [request.id for request in requests]
    (result,) = company.pipeline.sync(keys, run_id="run-1", push=True, request_ids=given)
    assert (result.segment.id, result.error) == (company.segment.id, None)
    assert [company.stored_request(request).error for request in requests] == [None, "The segment was deleted."]


def test_a_run_that_is_executed_again_confirms_no_departures_of_today(company: Company) -> None:
    staff = [an_employee(id=str(number), email=f"p{number}@acme.test") for number in range(20)]
    company.set_employees(*staff)
    company.sync()
    company.set_employees(*staff[:8])
    asked = company.request_sync(departures_confirmed=True)
    confirmed = company.sync(asked).membership
    assert (confirmed and confirmed.removed, company.stored_request(asked).status) == (12, RequestStatus.DONE)
    company.set_employees(*staff[:1])
    assert "would leave at once" in (company.sync(asked).error or "")


def test_unprocessed_segments_of_a_stopped_run_are_put_into_error(company: Company) -> None:
    asked = company.request_sync()
    start(company, asked, "run-1")
    keys = [company.segment.partition_key, "globex/5b0e3b5c-0000-4000-8000-000000000000"]
    stopped = StoppedRun("run-1", keys, AT + MINUTE, [asked.id])
    assert company.pipeline.fail_stopped(stopped, "The run was cancelled.") == keys[:1]
    assert (company.stored_segment().last_error, company.stored_request(asked).error) == ("The run was cancelled.",) * 2


def test_finished_segments_of_a_stopped_run_stay(company: Company) -> None:
    company.sync()
    stopped = StoppedRun("run-1", [company.segment.partition_key], AT + MINUTE)
    assert company.pipeline.fail_stopped(stopped, "Cancelled.") == []
    assert company.stored_segment().status is SegmentStatus.SYNCED


def test_a_request_that_a_retry_took_over_does_not_fail_with_the_first_run(company: Company) -> None:
    asked = company.request_sync()
    for run_id in ("run-1", "run-2"):
        start(company, asked, run_id)
    stopped = StoppedRun("run-1", [company.segment.partition_key], AT, [asked.id])
    company.pipeline.fail_stopped(stopped, "The process is gone.")
    assert (company.stored_request(asked).status, company.stored_request(asked).error) == (RequestStatus.RUNNING, None)
