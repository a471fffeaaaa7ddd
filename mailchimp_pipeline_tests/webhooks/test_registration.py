"""Webhooks created and deleted at Mailchimp."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from sqlalchemy import update

from api.auth import Caller
from api.procedures.connection import ConnectInput, connect
from api.procedures.context import CALL_BUDGET, Context
from api.trpc import Role
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.tables import ConnectionRow, WebhookRow
from mailchimp_pipeline.mailchimp import MailchimpClient, ThreadSlots
from mailchimp_pipeline.mailchimp.webhook_events import PATH
from mailchimp_pipeline.mailchimp.wire_models import WebhookEntry
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_stage, a_tenant
from mailchimp_pipeline_tests.waiting import eventually
from mailchimp_pipeline_tests.webhooks.stage import a_stage_with_url, stored_webhooks
from sandbox import Fault, FaultKind, Sandbox

WEBHOOKS = "/lists/{list_id}/webhooks*"


@contextmanager
def mailchimp_of(tenant: Tenant, api_key: str = "") -> Generator[MailchimpClient]:
    key = ApiKey.parse(api_key or tenant.api_key)
    with MailchimpClient(key, slots=ThreadSlots(1), root=tenant.stage.sandbox.api_root) as client:
        yield client


def there(tenant: Tenant, list_id: str = "", *, api_key: str = "") -> Sequence[WebhookEntry]:
    """Return an audience's webhooks at Mailchimp."""
    with mailchimp_of(tenant, api_key) as client:
        return client.webhooks(list_id or tenant.list_id)


def test_a_segment_in_a_new_audience_has_a_webhook_made(tenant: Tenant) -> None:
    (made,) = there(tenant)
    (row,) = stored_webhooks(tenant)
    assert made.url.startswith(f"{tenant.stage.url}{PATH}/")
    assert (made.id, made.signing_enabled) == (row.mailchimp_webhook_id, True)
    assert tenant.audit_actions()[0] == "webhook.registered"


def test_a_second_segment_of_the_audience_needs_no_other(tenant: Tenant) -> None:
    before = there(tenant)
    assert tenant.create(name="Others").status == 200
    assert there(tenant) == before


def test_connecting_makes_one_for_each_audience_in_use(stage: Stage) -> None:
    tenant = a_tenant(stage, connected=True)
    other = stage.sandbox.add_audience(tenant.account_id, "Vendors")
    for list_id in (tenant.list_id, other):
        tenant.create(mailchimpListId=list_id)
    tenant.mutate("connection.disconnect")
    assert tenant.connect().status == 200
    assert [len(there(tenant, list_id)) for list_id in (tenant.list_id, other)] == [1, 1]


def test_connecting_again_makes_no_second_one(tenant: Tenant) -> None:
    before = there(tenant)
    assert tenant.connect().status == 200
    assert there(tenant) == before


def test_a_webhook_that_somebody_removed_there_is_made_anew(tenant: Tenant) -> None:
    with mailchimp_of(tenant) as client:
        client.remove_webhook(tenant.list_id, there(tenant)[0].id)
    tenant.connect()
    assert [found.id for found in there(tenant)] == [row.mailchimp_webhook_id for row in stored_webhooks(tenant)]


def test_a_webhook_whose_secret_was_lost_is_made_anew(tenant: Tenant) -> None:
    (before,) = there(tenant)
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        ours = WebhookRow.organisation_id == tenant.organisation_id
        session.execute(update(WebhookRow).where(ours).values(secret_encrypted=None))
    tenant.connect()
    (after,) = there(tenant)
    assert after.id != before.id
    assert stored_webhooks(tenant)[0].secret_encrypted is not None


def test_a_webhook_whose_answer_was_lost_is_made_anew(stage: Stage, faults: Callable[[Fault], None]) -> None:
    tenant = a_tenant(stage, connected=True)
    faults(Fault(kind=FaultKind.CUT, method="POST", route=WEBHOOKS, applied=True, times=1))
    assert tenant.create().status == 200
    assert [row.mailchimp_webhook_id for row in stored_webhooks(tenant)] == [None]
    tenant.connect()
    assert [found.id for found in there(tenant)] == [row.mailchimp_webhook_id for row in stored_webhooks(tenant)]


def test_a_webhook_at_the_former_public_url_is_recreated(tenant: Tenant, sandbox: Sandbox) -> None:
    (before,) = there(tenant)
    database_url, files = tenant.stage.parts.database_url, tenant.stage.files
    with a_stage_with_url(database_url, files, sandbox) as elsewhere:
        moved = Tenant(elsewhere, tenant.organisation_id, tenant.api_key, tenant.account_id, tenant.list_id)
        assert moved.connect().status == 200
        (after,) = there(tenant)
    assert before.id != after.id
    assert after.url.startswith(elsewhere.url)


def test_disconnecting_removes_them_there_and_forgets_their_secrets(tenant: Tenant) -> None:
    assert tenant.mutate("connection.disconnect").status == 200
    assert (there(tenant), stored_webhooks(tenant)) == ((), [])
    assert tenant.audit_actions()[:2] == ["webhook.removed", "connection.disconnected"]


def test_another_account_takes_no_webhooks_over(tenant: Tenant, stage: Stage) -> None:
    other_key = f"{tenant.account_id}{'f' * 16}-us6"
    stage.sandbox.add_account(other_key, "Other")
    assert tenant.mutate("connection.connect", {"apiKey": other_key}).status == 200
    assert (there(tenant), stored_webhooks(tenant)) == ((), [])
    assert "webhook.not_registered" in tenant.audit_actions()


def test_a_mailchimp_that_refuses_webhooks_stops_no_connecting(stage: Stage, faults: Callable[[Fault], None]) -> None:
    tenant = a_tenant(stage, connected=True)
    faults(Fault(kind=FaultKind.UNAVAILABLE, route=WEBHOOKS))
    assert tenant.create().status == 200
    assert tenant.connect().status == 200
    newest = tenant.query("audit.list").data["items"][0]
    assert (newest["action"], newest["entityId"]) == ("webhook.not_registered", tenant.list_id)
    assert "Mailchimp was not available" in newest["details"]["reason"]


def test_connecting_leaves_to_the_next_run_what_there_is_no_time_for(
    tenant: Tenant, faults: Callable[[Fault], None]
) -> None:
    faults(Fault(kind=FaultKind.LATE, delay_seconds=0.6))
    caller = Caller("alice", tenant.organisation_id, Role.ADMIN)
    context = Context(caller, tenant.stage.parts, replace(CALL_BUDGET, mailchimp_seconds=0.5))
    assert connect(context, ConnectInput.model_validate({"api_key": tenant.api_key})).account_id == tenant.account_id
    newest = tenant.query("audit.list").data["items"][0]
    assert (newest["action"], newest["details"]) == ("webhook.not_registered", {"failure": "OutOfTime"})


def test_a_missing_webhook_is_created_by_the_next_scheduled_run(
    stage: Stage, sandbox: Sandbox, faults: Callable[[Fault], None]
) -> None:
    tenant = a_tenant(stage, connected=True)
    faults(Fault(kind=FaultKind.UNAVAILABLE, route=WEBHOOKS))
    tenant.create()
    sandbox.clear_faults()
    for _ in range(2):
        list(Pipeline(stage.parts).sync([], run_id="run", push=True))
    assert [found.id for found in there(tenant)] == [row.mailchimp_webhook_id for row in stored_webhooks(tenant)]
    assert tenant.audit_actions()[0] == "webhook.registered"


def test_a_mailchimp_that_is_away_stops_no_disconnecting(tenant: Tenant, faults: Callable[[Fault], None]) -> None:
    faults(Fault(kind=FaultKind.CUT))
    assert tenant.mutate("connection.disconnect").status == 200
    assert (stored_webhooks(tenant), tenant.audit_actions()[0]) == ([], "webhook.not_removed")


def test_a_leftover_webhook_is_deleted_when_the_organisation_reconnects(
    tenant: Tenant, sandbox: Sandbox, faults: Callable[[Fault], None]
) -> None:
    (left,) = there(tenant)
    faults(Fault(kind=FaultKind.CUT, method="DELETE"))
    tenant.mutate("connection.disconnect")
    sandbox.clear_faults()
    tenant.connect()
    (found,) = there(tenant)
    assert found.id != left.id


def test_a_key_that_can_no_longer_be_read_stops_no_disconnecting(tenant: Tenant) -> None:
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        ours = ConnectionRow.organisation_id == tenant.organisation_id
        session.execute(update(ConnectionRow).where(ours).values(api_key_encrypted="lost"))
    assert tenant.mutate("connection.disconnect").status == 200
    assert stored_webhooks(tenant) == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_organisation_that_leaves_while_a_webhook_is_made_has_none(
    stage: Stage, faults: Callable[[Fault], None], method: str
) -> None:
    tenant, sandbox = a_tenant(stage, connected=True), stage.sandbox
    faults(Fault(kind=FaultKind.HELD, method=method, route=WEBHOOKS, times=1))
    held_before = sandbox.faults_struck().get(FaultKind.HELD, 0)
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(tenant.create)
        try:
            eventually(lambda: sandbox.faults_struck().get(FaultKind.HELD, 0) > held_before)
            assert tenant.mutate("connection.disconnect").status == 200
        finally:
            sandbox.clear_faults()
        assert made.result().status == 200
    assert (there(tenant), stored_webhooks(tenant)) == ((), [])


def test_without_a_public_address_none_is_made(stage: Stage, sandbox: Sandbox) -> None:
    with a_stage(stage.parts.database_url, stage.files, sandbox) as hidden:
        tenant = a_tenant(hidden, connected=True)
        assert tenant.create().status == 200
        assert tenant.audit_actions() == ["segment.created", "connection.connected"]
        assert (there(tenant), stored_webhooks(tenant)) == ((), [])
