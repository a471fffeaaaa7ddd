"""The calls that the sandbox makes to registered webhooks."""

from collections.abc import Callable

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.waiting import eventually
from mailchimp_pipeline_tests.webhooks.calls import ANN, BOB
from mailchimp_pipeline_tests.webhooks.stage import create_segment_with_ann, preference_of, status_of, stored_webhooks
from sandbox import Fault, FaultKind, Sandbox, Seed


def delivered(tenant: Tenant, address: str = ANN) -> str | None:
    """Return the member's status in the ledger after all deliveries."""
    assert tenant.stage.sandbox.wait_for_deliveries()
    return status_of(tenant, address)


def join(tenant: Tenant, list_id: str) -> None:
    """Add Ann to a segment of the audience, and to the audience."""
    create_segment_with_ann(tenant, list_id)
    tenant.stage.sandbox.add_members(list_id, [Seed(email_address=ANN)])


@pytest.fixture
def populated(tenant: Tenant) -> Tenant:
    """Return an organisation with Ann, employee 1, in its segment and its audience."""
    join(tenant, tenant.list_id)
    assert delivered(tenant) == "subscribed"
    return tenant


@pytest.mark.parametrize("act", [Sandbox.unsubscribe_by_link, Sandbox.unsubscribe_as_admin, Sandbox.complain])
def test_a_contact_who_withdraws_in_one_audience_is_unsubscribed_in_all(
    populated: Tenant, act: Callable[[Sandbox, str, str], None]
) -> None:
    sandbox = populated.stage.sandbox
    other = sandbox.add_audience(populated.account_id, "News")
    populated.create(mailchimpListId=other)
    join(populated, other)
    assert sandbox.wait_for_deliveries()
    assert status_of(populated, ANN, other) == "subscribed"
    act(sandbox, populated.list_id, ANN)
    assert delivered(populated) != "subscribed"
    preference = preference_of(populated)
    assert preference is not None
    assert not preference.opted_in
    # The push follows the answer.
    eventually(lambda: (member := sandbox.member(other, ANN)) and member.status == "unsubscribed")


def test_mailchimp_repeats_a_call_until_the_member_could_be_read(
    populated: Tenant, faults: Callable[[Fault], None]
) -> None:
    faults(Fault(kind=FaultKind.UNAVAILABLE, route="/lists/{list_id}/members/{subscriber_hash}"))
    struck = populated.stage.sandbox.faults_struck().get(FaultKind.UNAVAILABLE, 0)
    populated.stage.sandbox.unsubscribe_by_link(populated.list_id, ANN)
    eventually(lambda: populated.stage.sandbox.faults_struck().get(FaultKind.UNAVAILABLE, 0) > struck)
    assert status_of(populated) == "subscribed"
    populated.stage.sandbox.clear_faults()
    assert delivered(populated) == "unsubscribed"


def test_mailchimp_reports_a_new_address(populated: Tenant) -> None:
    populated.stage.sandbox.change_address(populated.list_id, ANN, BOB)
    assert (delivered(populated, BOB), delivered(populated, ANN)) == ("subscribed", None)


def test_without_signing_mailchimps_calls_are_taken_by_their_path(stage: Stage, sandbox: Sandbox) -> None:
    sandbox.configure(sign_webhooks=False)
    tenant = a_tenant(stage, connected=True)
    tenant.create()
    sandbox.configure(sign_webhooks=True)
    sandbox.add_members(tenant.list_id, [Seed(email_address=ANN)])
    assert delivered(tenant) == "subscribed"
    assert stored_webhooks(tenant)[0].secret_encrypted is None
