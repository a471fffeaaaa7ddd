"""Audiences with many other webhooks: the pipeline finds its own, or does nothing."""

from collections.abc import Callable, Generator

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.mailchimp.scripted import Reply, scripted
from mailchimp_pipeline_tests.webhooks.test_registration import mailchimp_of, there
from sandbox import Sandbox


def crowd(tenant: Tenant, list_id: str, number: int) -> None:
    """Add this number of other webhooks to an audience."""
    with scripted(Reply()) as receiver, mailchimp_of(tenant) as client:
        for made in range(number):
            client.add_webhook(list_id, f"{receiver.root}/{made}")


@pytest.fixture
def listing(sandbox: Sandbox) -> Generator[Callable[[str], None]]:
    """Return a function that sets how the sandbox lists webhooks, until the end of the test."""

    def set_listing(listed: str) -> None:
        sandbox.configure(webhooks_listed=listed)

    yield set_listing
    sandbox.configure(webhooks_listed="in_pages")


@pytest.mark.parametrize("listed", ["in_pages", "all", "first_ten"])
def test_connecting_again_piles_up_none_however_many_others_there_are(
    stage: Stage, listing: Callable[[str], None], listed: str
) -> None:
    tenant = a_tenant(stage, connected=True)
    crowd(tenant, tenant.list_id, 10)
    listing(listed)
    tenant.create()
    for _ in range(2):
        tenant.connect()
    listing("all")
    assert len(there(tenant)) == 11


def test_a_partial_webhook_listing_does_not_stop_other_audiences(stage: Stage, listing: Callable[[str], None]) -> None:
    tenant = a_tenant(stage, connected=True)
    crowded, other = sorted([tenant.list_id, stage.sandbox.add_audience(tenant.account_id, "Vendors")])
    crowd(tenant, crowded, 12)
    for list_id in (crowded, other):
        tenant.create(mailchimpListId=list_id)
    listing("first_ten")
    with mailchimp_of(tenant) as client:
        client.remove_webhook(other, there(tenant, other)[0].id)
    tenant.connect()
    assert len(there(tenant, other)) == 1
    assert tenant.audit_actions()[0] == "webhook.registered"
