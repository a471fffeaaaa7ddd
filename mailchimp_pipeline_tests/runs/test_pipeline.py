"""The pipeline without Dagster: PostgreSQL, files and the sandbox."""

from dataclasses import replace
from datetime import timedelta

import pytest

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.locks import hold_audience
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_store import SegmentName
from mailchimp_pipeline.errors import without_places
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.services.pipeline import open_pipeline
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.sync.segment_results import SegmentResult
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, AT, LIST, a_segment
from mailchimp_pipeline_tests.runs.company import Company
from mailchimp_pipeline_tests.waiting import eventually

OTHER_KEY = ApiKey.parse("fedcba9876543210fedcba9876543210-us6")


def records(company: Company) -> DatabaseRecords:
    parts = company.pipeline.resources
    return DatabaseRecords(parts.database, parts.keyring, lambda: AT)


def sync(company: Company, *keys: str) -> list[SegmentResult]:
    return list(company.pipeline.sync(keys, run_id="run", push=True))


def replace_key(company: Company) -> None:
    account = Account(company.connection().account_id, "Acme Ltd", OTHER_KEY)
    with company.pipeline.resources.database.organisation(ACME) as session:
        ConnectionStore(session, company.pipeline.resources.keyring).connect(account, by="alice", at=AT)


def test_the_first_sync_sends_all_contacts_and_the_second_none(company: Company) -> None:
    first, second = company.sync(), company.sync()
    assert (first.error, first.report and first.report.new) == (None, 3)
    assert (second.error, second.report and (second.report.unchanged, second.report.calls)) == (None, (3, 0))
    assert set(company.sandbox.sent(LIST).values()) == {1}


def test_a_sync_that_ended_well_says_what_it_did(company: Company) -> None:
    company.sync()
    segment = company.stored_segment()
    assert (segment.status, segment.member_count, segment.last_error) == (SegmentStatus.SYNCED, 3, None)
    assert segment.last_report is not None
    assert {name: segment.last_report[name] for name in ("matching", "new", "calls", "read")} == {
        "matching": 3,
        "new": 3,
        "calls": 1,
        "read": 0,
    }


def test_without_a_push_the_members_are_made_and_nothing_is_sent(company: Company) -> None:
    result = company.sync(push=False)
    assert (result.member_count, company.sandbox.counts().total.calls) == (3, 0)
    assert company.stored_segment().status is SegmentStatus.PENDING


def test_a_missing_file_is_named_on_the_segment_and_where_it_should_be_in_the_run_alone(company: Company) -> None:
    (company.files / "vendors.csv").unlink()
    error, stored = company.sync().error or "", company.stored_segment()
    with company.pipeline.resources.database.organisation(ACME) as session:
        (entry, *_) = audit_log.entries(session, limit=1).items
    assert error.startswith("There is no vendors.csv or vendors.parquet in the source's directory. Put one there")
    assert str(company.files) in error
    assert (stored.last_error, entry.details) == (without_places(error), {"error": without_places(error)})
    assert str(company.files) not in (stored.last_error or "")


def test_an_audience_that_is_gone_is_named_on_the_segment(company: Company) -> None:
    gone = a_segment(company.pipeline.resources.database, list_id="0123456789")
    (result,) = sync(company, gone.partition_key)
    assert "0123456789" in (result.error or "")
    (stored,) = records(company).segments([gone.partition_key])
    assert (stored.status, stored.last_error) == (SegmentStatus.ERROR, result.error)


def test_a_revoked_key_is_reported_without_the_key(company: Company) -> None:
    company.sandbox.revoke_key("0123456789abcdef0123456789abcdef-us6")
    error = company.sync().error or ""
    assert "key" in error
    assert "0123456789abcdef" not in error


def test_a_file_that_is_not_there_is_named_on_the_segment(company: Company) -> None:
    (company.files / "employees.csv").unlink()
    assert "There is no employees.csv" in (company.sync().error or "")
    assert company.stored_segment().status is SegmentStatus.ERROR


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"MAILCHIMP_PIPELINE_SOURCE": ""}, "MAILCHIMP_PIPELINE_SOURCE is not set"),
        ({"MAILCHIMP_PIPELINE_SOURCE": "nosuch://hr/people"}, "MAILCHIMP_PIPELINE_SOURCE is not the URL"),
        ({"MAILCHIMP_PIPELINE_EMPLOYEES": "staff"}, "Unset MAILCHIMP_PIPELINE_EMPLOYEES"),
    ],
)
def test_a_setting_of_the_source_that_cannot_be_used_is_told_on_the_segment_and_its_request(
    company: Company, wrong: dict[str, str], message: str
) -> None:
    environment = company.pipeline.resources.settings.environment() | wrong
    asked = company.request_sync()
    with open_pipeline(Settings.from_environment(environment)) as pipeline:
        error = replace(company, pipeline=pipeline).sync(asked).error or ""
    assert message in error
    assert (company.stored_segment().last_error, company.stored_request(asked).error) == (error, error)


def test_segments_of_an_organisation_that_was_disconnected_are_passed_over(company: Company) -> None:
    with company.pipeline.resources.database.organisation(ACME) as session:
        ConnectionStore(session, company.pipeline.resources.keyring).disconnect(by="alice", at=AT)
    assert sync(company, company.segment.partition_key) == []
    assert company.stored_segment().status is SegmentStatus.PENDING


def test_segments_that_are_gone_are_passed_over(company: Company) -> None:
    others = f"globex/{company.segment.id}"
    assert sync(company, f"{ACME}/5b0e3b5c-0000-4000-8000-000000000000", f"{ACME}/nonsense", others) == []


def test_a_run_is_alive_while_it_is_at_work(company: Company) -> None:
    assert not company.pipeline.is_alive("run")
    with company.pipeline.hold_run_lock("run"):
        assert company.pipeline.is_alive("run")
    eventually(lambda: not company.pipeline.is_alive("run"))  # PostgreSQL ends a session a moment after its client


def test_a_segment_whose_process_was_killed_is_put_into_error(company: Company) -> None:
    records(company).mark_syncing(company.segment)
    with hold_audience(company.pipeline.resources.database, ACME, LIST):
        assert company.pipeline.fail_abandoned() == 0
    assert company.pipeline.fail_abandoned() == 1
    assert "stopped before it finished" in (company.stored_segment().last_error or "")
    assert company.sync().error is None


def test_segments_are_due_until_they_were_synced(company: Company) -> None:
    now = company.pipeline.now()
    assert [segment.id for segment in company.pipeline.due_segments()] == [company.segment.id]
    late = SegmentName(ACME, company.segment.id, company.segment.name)
    assert company.pipeline.not_synced_since(now) == (late,)
    company.sync()
    assert company.pipeline.not_synced_since(now - timedelta(minutes=1)) == ()


def test_the_source_can_be_described(company: Company) -> None:
    assert company.pipeline.describe("employee").rows == 3


def test_a_key_that_is_refused_during_a_sync_shows_on_the_connection(company: Company) -> None:
    company.sandbox.revoke_key(API_KEY.reveal())
    assert "refused the API key" in (company.sync().error or "")
    assert company.connection().key_refused_at


def test_a_key_that_was_replaced_meanwhile_is_not_taken_for_the_refused_one(company: Company) -> None:
    company.pipeline.resources.audiences(ACME)
    company.sandbox.revoke_key(API_KEY.reveal())
    replace_key(company)
    assert "refused the API key" in (company.sync().error or "")
    assert company.connection().key_refused_at is None


def test_a_key_that_is_taken_again_is_marked_no_more(company: Company) -> None:
    account_id = company.connection().account_id
    company.sandbox.set_deactivated(account_id)
    company.sync()
    assert company.connection().key_refused_at
    company.sandbox.set_deactivated(account_id, deactivated=False)
    assert company.sync().error is None
    assert company.connection().key_refused_at is None


def test_an_answer_to_the_former_key_says_nothing_of_the_one_that_took_its_place(company: Company) -> None:
    account_id = company.connection().account_id
    company.sandbox.set_deactivated(account_id)
    company.sync()
    replace_key(company)
    with company.pipeline.resources.database.organisation(ACME) as session:
        ConnectionStore(session, company.pipeline.resources.keyring).mark_key_refused(AT)
    company.sandbox.set_deactivated(account_id, deactivated=False)
    company.pipeline.resources.audiences(ACME).ping()
    assert company.connection().key_refused_at == AT


def test_reading_does_not_clear_the_mark_of_a_key_that_may_not_write(company: Company) -> None:
    company.sandbox.set_role(company.connection().account_id, "viewer")
    assert "does not permit" in (company.sync().error or "")
    company.pipeline.resources.audiences(ACME).audiences()
    assert company.connection().key_refused_at
