"""`mailchimp.connection` over HTTP, the database and the sandbox."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from api.procedures.context import CallBudget
from mailchimp_pipeline.database.segment_store import SegmentProgress
from mailchimp_pipeline.mailchimp import Retries, Timeouts
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_stage, a_tenant
from mailchimp_pipeline_tests.api.served import logged_lines
from mailchimp_pipeline_tests.database.builders import AT
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import Fault, FaultKind


@contextmanager
def fault(stage: Stage, planned: Fault) -> Generator[None]:
    stage.sandbox.add_fault(planned)
    try:
        yield
    finally:
        stage.sandbox.clear_faults()


def test_an_organisation_begins_without_a_connection(tenant: Tenant) -> None:
    assert tenant.query("connection.get").data is None


def test_a_connection_shows_the_account_and_never_the_key(tenant: Tenant) -> None:
    answer = tenant.connect()
    shown = answer.data
    assert (shown["accountId"], shown["dataCenter"], shown["syncStatus"]) == (tenant.account_id, "us6", "pending")
    assert shown["apiKeyHint"] == tenant.api_key.removesuffix("-us6")[-4:]
    assert tenant.api_key.encode() not in answer.body
    assert tenant.query("connection.get").data == shown


def test_the_fields_of_a_connection_are_those_of_the_contract(connected: Tenant) -> None:
    shown = connected.query("connection.get").data
    assert list(shown) == [
        "id",
        "organisationId",
        "accountId",
        "accountName",
        "dataCenter",
        "apiKeyHint",
        "syncStatus",
        "connectedAt",
        "lastSyncedAt",
        "keyRefusedAt",
        "webhooks",
        "softDeletedAt",
    ]
    assert shown["connectedAt"].endswith("Z")


def test_a_key_stands_readable_in_no_table_and_no_log(stage: Stage, tenant: Tenant) -> None:
    with logged_lines() as log:
        tenant.connect()
        tenant.query("connection.listAudiences")
    with stage.parts.database.everyone() as session:
        rows = session.scalars(text("select mailchimp_connections::text from mailchimp_connections")).all()
    assert tenant.api_key[:32] not in log.getvalue() + "".join(map(str, rows))


def test_blanks_around_a_copied_key_do_no_harm(tenant: Tenant) -> None:
    assert tenant.mutate("connection.connect", {"apiKey": f" {tenant.api_key}\n"}).status == 200


def test_an_account_of_another_organisation_is_a_conflict_whichever_key_opens_it(
    stage: Stage, connected: Tenant, tenant: Tenant
) -> None:
    another_key = f"{connected.api_key.removesuffix('-us6')[::-1]}-us6"
    stage.sandbox.add_key(connected.account_id, another_key)
    assert tenant.mutate("connection.connect", {"apiKey": connected.api_key}).error["data"]["code"] == "CONFLICT"
    answer = tenant.mutate("connection.connect", {"apiKey": another_key})
    assert (answer.status, answer.error["data"]["code"]) == (409, "CONFLICT")
    assert "already connected to another organisation of this platform" in answer.error["message"]
    assert connected.organisation_id not in answer.error["message"]
    assert tenant.query("connection.get").data is None


@pytest.mark.parametrize("api_key", ["", "abc", "abc-us", "abc-eu1", "a b-us6", "abc\x00-us6"])
def test_a_key_of_the_wrong_form_is_the_fields_error(tenant: Tenant, api_key: str) -> None:
    error = tenant.mutate("connection.connect", {"apiKey": api_key}).error
    assert error["data"]["code"] == "BAD_REQUEST"
    assert "does not have the form" in error["data"]["zodError"]["fieldErrors"]["apiKey"][0]
    assert tenant.query("connection.get").data is None


def test_a_key_that_mailchimp_refuses_is_not_stored(tenant: Tenant) -> None:
    answer = tenant.mutate("connection.connect", {"apiKey": "f" * 32 + "-us6"})
    assert answer.error["data"]["code"] == "UNPROCESSABLE_CONTENT"
    assert "make a new key" in answer.error["message"]
    assert tenant.query("connection.get").data is None


@pytest.mark.parametrize(
    ("planned", "code"),
    [
        (Fault(kind=FaultKind.CUT), "BAD_GATEWAY"),
        (Fault(kind=FaultKind.UNAVAILABLE), "BAD_GATEWAY"),
        (Fault(kind=FaultKind.MALFORMED), "BAD_GATEWAY"),
        (Fault(kind=FaultKind.THROTTLED), "TOO_MANY_REQUESTS"),
    ],
)
def test_a_mailchimp_that_is_away_is_told_apart_from_a_bad_key(tenant: Tenant, planned: Fault, code: str) -> None:
    with fault(tenant.stage, planned):
        assert tenant.connect().error["data"]["code"] == code
    assert tenant.query("connection.get").data is None


def test_a_mailchimp_that_does_not_answer_is_told_apart_too(stage: Stage, tmp_path: Path) -> None:
    hasty = CallBudget(Retries(budget=0), Timeouts(connect=TIMEOUT_SECONDS, read=0.2))
    with a_stage(stage.parts.database_url, tmp_path, stage.sandbox, budget=hasty) as served:
        tenant = a_tenant(served)
        with fault(served, Fault(kind=FaultKind.HELD)):
            assert tenant.connect().error["data"]["code"] == "GATEWAY_TIMEOUT"
        assert tenant.query("connection.get").data is None


def test_the_pause_that_mailchimp_asks_for_is_passed_on(tenant: Tenant) -> None:
    with fault(tenant.stage, Fault(kind=FaultKind.THROTTLED, retry_after_seconds=30)):
        assert tenant.connect().headers["retry-after"] == "30"


def test_a_hiccup_of_mailchimps_is_not_shown(tenant: Tenant) -> None:
    with fault(tenant.stage, Fault(kind=FaultKind.BROKEN, times=1)):
        assert tenant.connect().status == 200


def test_connecting_again_replaces_the_key(connected: Tenant) -> None:
    other = "e" * 28 + f"{connected.account_id[:4]}-us6"
    connected.stage.sandbox.add_key(connected.account_id, other)
    before = connected.query("connection.get").data
    after = connected.mutate("connection.connect", {"apiKey": other}).data
    assert (after["id"], after["apiKeyHint"]) == (before["id"], other[28:32])
    assert connected.audit_actions() == ["connection.key_replaced", "connection.connected"]


def test_the_key_of_another_account_ends_the_former_connection(connected: Tenant) -> None:
    other = a_tenant(connected.stage)
    before = connected.query("connection.get").data
    after = connected.mutate("connection.connect", {"apiKey": other.api_key}).data
    assert after["id"] != before["id"]
    assert connected.audit_actions() == ["connection.connected", "connection.disconnected", "connection.connected"]


def test_disconnecting_keeps_the_segments(connected: Tenant) -> None:
    connected.create()
    ended = connected.mutate("connection.disconnect").data
    assert ended["softDeletedAt"] is not None
    assert connected.query("connection.get").data is None
    assert len(connected.query("segments.list").data["items"]) == 1


@pytest.mark.parametrize("path", ["connection.disconnect", "connection.listAudiences"])
def test_what_needs_a_connection_says_so(tenant: Tenant, path: str) -> None:
    call = tenant.mutate if path.endswith("disconnect") else tenant.query
    error = call(path).error
    assert error["data"]["code"] == "PRECONDITION_FAILED"
    assert "not connected to Mailchimp" in error["message"]


def test_all_audiences_are_listed_not_the_first_ten(connected: Tenant) -> None:
    made = [connected.stage.sandbox.add_audience(connected.account_id, f"List {n}") for n in range(25)]
    listed = connected.query("connection.listAudiences").data
    assert {audience["id"] for audience in listed} == {connected.list_id, *made}
    assert list(listed[0]) == ["id", "name", "memberCount", "doubleOptin"]


def test_a_revoked_key_is_reported_and_audited_once(connected: Tenant) -> None:
    connected.stage.sandbox.revoke_key(connected.api_key)
    answers = [connected.query("connection.listAudiences") for _ in range(2)]
    assert {answer.error["data"]["code"] for answer in answers} == {"UNPROCESSABLE_CONTENT"}
    assert connected.audit_actions() == ["connection.key_refused", "connection.connected"]


def test_an_accepted_key_is_unmarked_and_audited(connected: Tenant) -> None:
    sandbox = connected.stage.sandbox
    shown = list[bool]()
    for deactivated in (True, False, False):
        sandbox.set_deactivated(connected.account_id, deactivated=deactivated)
        connected.query("connection.listAudiences")
        shown.append(bool(connected.query("connection.get").data["keyRefusedAt"]))
    assert shown == [True, False, False]
    assert connected.audit_actions() == ["connection.key_accepted", "connection.key_refused", "connection.connected"]


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        (["synced"], "synced"),
        (["synced", "pending"], "pending"),
        (["pending", "synced", "syncing"], "syncing"),
        (["syncing", "error", "synced"], "error"),
    ],
)
def test_the_sync_status_is_that_of_the_worst_segment(connected: Tenant, statuses: list[str], worst: str) -> None:
    for status in statuses:
        bring(connected, connected.create().data["id"], status)
    shown = connected.query("connection.get").data
    assert shown["syncStatus"] == worst
    assert shown["lastSyncedAt"] == "2026-03-01T05:00:00Z"


def test_a_deleted_segment_is_no_part_of_the_status(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    bring(connected, segment_id, "error")
    connected.mutate("segments.delete", {"id": segment_id})
    assert connected.query("connection.get").data["syncStatus"] == "pending"


def bring(tenant: Tenant, segment_id: str, status: str) -> None:
    """Set a segment's status, as runs do."""
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        progress = SegmentProgress(session)
        if status == "syncing":
            progress.mark_syncing(segment_id, at=AT)
        if status == "synced":
            progress.mark_synced(segment_id, member_count=1, report={}, at=AT)
        if status == "error":
            progress.mark_error(segment_id, "Try again.", at=AT)
