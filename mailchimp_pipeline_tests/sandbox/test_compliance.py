"""Compliance states, which only the contact can end."""

from collections.abc import Callable

import pytest

from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, AudienceApi, a_member
from sandbox import ComplianceState, Sandbox, Seed, Status

Act = Callable[[Sandbox, str], None]


def leaves(sandbox: Sandbox, list_id: str) -> None:
    """Unsubscribe Ann by the link."""
    sandbox.unsubscribe_by_link(list_id, ANN, "No longer interested")


def bounces(sandbox: Sandbox, list_id: str) -> None:
    """Record a bounce of Ann."""
    sandbox.bounce(list_id, ANN)


def is_reviewed(sandbox: Sandbox, list_id: str) -> None:
    """Put Ann under review, unsubscribed."""
    sandbox.unsubscribe_as_admin(list_id, ANN)
    sandbox.review(list_id, ANN)


each_compliance_state = pytest.mark.parametrize("act", [leaves, bounces, is_reviewed])


@each_compliance_state
def test_only_the_contact_can_resubscribe(sandbox: Sandbox, api: AudienceApi, act: Act) -> None:
    api.batch(a_member())
    act(sandbox, api.list_id)
    for method in ("PUT", "PATCH"):
        answer = api.call(method, api.member(), {**a_member(), "status_if_new": "subscribed"})
        assert (answer.status_code, answer.json()["title"]) == (400, "Member In Compliance State")
        assert "type" not in answer.json()


@each_compliance_state
def test_a_batch_refuses_them_in_an_error(sandbox: Sandbox, api: AudienceApi, act: Act) -> None:
    api.batch(a_member())
    act(sandbox, api.list_id)
    before = api.status()
    (error,) = api.batch(a_member(), update_existing=True)["errors"]
    assert error["error"] == (
        f"{ANN} is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed."
    )
    assert api.status() == before


@each_compliance_state
def test_a_batch_can_pass_over_them_in_silence(sandbox: Sandbox, api: AudienceApi, act: Act) -> None:
    sandbox.configure(compliance_in_batch="ignored")
    api.batch(a_member())
    act(sandbox, api.list_id)
    before = api.status()
    answer = api.batch(a_member(merge_fields={"FNAME": "Ann"}), update_existing=True)
    assert (answer["error_count"], answer["total_updated"]) == (0, 1)
    assert api.status() == before


@each_compliance_state
def test_pending_is_allowed_and_their_confirmation_brings_them_back(
    sandbox: Sandbox, api: AudienceApi, act: Act
) -> None:
    api.batch(a_member())
    act(sandbox, api.list_id)
    assert api.patch(api.member(), {"status": "pending"}).json()["status"] == "pending"
    assert api.patch(api.member(), {"status": "subscribed"}).status_code == 400
    sandbox.confirm(api.list_id, ANN)
    assert api.status() == "subscribed"


@each_compliance_state
def test_archiving_is_no_way_round(sandbox: Sandbox, api: AudienceApi, act: Act) -> None:
    api.batch(a_member())
    act(sandbox, api.list_id)
    sandbox.archive_as_admin(api.list_id, ANN)
    assert api.put(api.member(), {**a_member(), "status_if_new": "subscribed"}).status_code == 400
    assert api.batch(a_member())["error_count"] == 1
    assert api.status() == "archived"


@pytest.mark.parametrize("by_admin", [True, False])
def test_a_member_unsubscribed_by_the_api_or_an_admin_can_be_resubscribed(
    sandbox: Sandbox, api: AudienceApi, *, by_admin: bool
) -> None:
    api.batch(a_member())
    if by_admin:
        sandbox.unsubscribe_as_admin(api.list_id, ANN)
    else:
        api.patch(api.member(), {"status": "unsubscribed"})
    assert api.get(api.member()).json()["unsubscribe_reason"] == "N/A (Unsubscribed by an admin)"
    assert api.put(api.member(), a_member()).json()["status"] == "subscribed"


def test_the_reason_of_the_contact_is_kept_while_they_are_gone(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    leaves(sandbox, api.list_id)
    assert api.get(api.member()).json()["unsubscribe_reason"] == "No longer interested"
    sandbox.sign_up(api.list_id, ANN)
    assert (api.status(), api.get(api.member()).json()["unsubscribe_reason"]) == ("subscribed", "")


def test_an_unsubscribe_of_the_api_after_the_contacts_own_changes_nothing(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    leaves(sandbox, api.list_id)
    assert api.patch(api.member(), {"status": "unsubscribed"}).status_code == 200
    assert api.patch(api.member(), {"status": "subscribed"}).status_code == 400


def test_an_archived_member_comes_back_by_its_status_only(api: AudienceApi) -> None:
    api.batch(a_member(ANN))
    api.delete(api.member(ANN))
    assert (
        api.put(api.member(ANN), {"email_address": ANN, "status_if_new": "subscribed"}).json()["status"] == "archived"
    )
    assert api.put(api.member(ANN), a_member(ANN)).json()["status"] == "subscribed"


@pytest.mark.parametrize("status", ["subscribed", "pending"])
def test_a_forgotten_address_cannot_be_imported(api: AudienceApi, status: str) -> None:
    api.batch(a_member())
    api.delete_permanently()
    answer = api.put(api.member(), {"email_address": ANN, "status_if_new": status})
    assert answer.json()["title"] == "Forgotten Email Not Subscribed"
    (error,) = api.batch(a_member(status=status), update_existing=True)["errors"]
    assert error["error"].startswith(f"{ANN} was permanently deleted and cannot be re-imported.")


def test_a_forgotten_address_comes_back_by_a_form_of_mailchimps(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    sandbox.delete_as_admin(api.list_id, ANN)
    sandbox.sign_up(api.list_id, ANN)
    assert (api.status(), sandbox.is_forgotten(api.list_id, ANN)) == ("subscribed", False)


def test_no_member_can_take_a_forgotten_address(api: AudienceApi) -> None:
    api.batch(a_member(ANN), a_member(BOB))
    api.delete_permanently()
    assert api.patch(api.member(BOB), {"email_address": ANN}).json()["title"] == "Forgotten Email Not Subscribed"


def test_in_a_double_opt_in_audience_pending_waits_for_the_contact(sandbox: Sandbox, account_id: str) -> None:
    list_id = sandbox.add_audience(account_id, double_optin=True)
    with AudienceApi(sandbox.api_root, list_id) as api:
        assert api.get(api.here).json()["double_optin"] is True
        api.batch(a_member(ANN, status="pending"), a_member(BOB))
        assert (api.status(ANN), api.status(BOB)) == ("pending", "subscribed")
        sandbox.confirm(list_id, ANN)
        assert api.status(ANN) == "subscribed"


def test_a_form_of_a_double_opt_in_audience_asks_to_confirm(sandbox: Sandbox, account_id: str) -> None:
    list_id = sandbox.add_audience(account_id, double_optin=True)
    sandbox.sign_up(list_id, ANN)
    assert sandbox.statuses(list_id) == {Status.PENDING: 1}


def test_members_can_be_put_there_in_any_state(sandbox: Sandbox, api: AudienceApi) -> None:
    seeds = [
        Seed(email_address=ANN, status=Status.UNSUBSCRIBED, compliance_state=ComplianceState.UNSUBSCRIBED),
        Seed(email_address="old@example.com", merge_fields={"FNAME": "Old"}),
    ]
    assert sandbox.add_members(api.list_id, seeds) == 2
    assert api.patch(api.member(ANN), {"status": "subscribed"}).status_code == 400
    assert api.get(api.member("old@example.com")).json()["full_name"] == "Old"


def test_impossible_actions_are_rejected_without_an_address(sandbox: Sandbox, list_id: str) -> None:
    with pytest.raises(PipelineError, match="has no such member") as caught:
        sandbox.unsubscribe_by_link(list_id, ANN)
    assert ANN not in str(caught.value)
    sandbox.sign_up(list_id, ANN)
    with pytest.raises(PipelineError, match="nothing to confirm"):
        sandbox.confirm(list_id, ANN)
    with pytest.raises(PipelineError, match="has the new address already"):
        sandbox.change_address(list_id, ANN, ANN)
