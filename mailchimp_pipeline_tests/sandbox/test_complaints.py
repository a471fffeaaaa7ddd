"""Spam complaints: the member's status, and the webhooks."""

from urllib.parse import parse_qs

import pytest

from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, START, AudienceApi, a_member
from sandbox import Sandbox, Status


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
def test_only_the_contact_comes_back_after_a_complaint(sandbox: Sandbox, api: AudienceApi, status: str) -> None:
    sandbox.configure(complaint_makes=status)
    api.batch(a_member())
    sandbox.complain(api.list_id, ANN)
    assert api.status() == status
    assert api.patch(api.member(), {"status": "subscribed"}).json()["title"] == "Member In Compliance State"
    sandbox.sign_up(api.list_id, ANN)
    assert api.status() == "subscribed"


def test_the_reason_tells_link_administrator_and_complaint_apart(sandbox: Sandbox, api: AudienceApi) -> None:
    reasons: list[str] = []
    for act in (sandbox.unsubscribe_by_link, sandbox.unsubscribe_as_admin, sandbox.complain):
        sandbox.sign_up(api.list_id, ANN)
        act(api.list_id, ANN)
        reasons.append(api.get(api.member()).json()["unsubscribe_reason"])
    assert reasons == ["None given", "N/A (Unsubscribed by an admin)", "N/A (Abuse complaint)"]


def test_an_archived_member_who_complains_stays_archived(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    api.delete(api.member())
    sandbox.complain(api.list_id, ANN)
    assert (api.status(), sandbox.statuses(api.list_id)) == ("archived", {Status.ARCHIVED: 1})
    assert api.put(api.member(), a_member()).status_code == 400


def test_complaints_are_listed_in_pages(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member(ANN, merge_fields={"FNAME": "Ann"}), a_member(BOB))
    assert api.get(f"{api.here}/abuse-reports").json()["abuse_reports"] == []
    for address in (ANN, BOB):
        sandbox.complain(api.list_id, address)
    first = api.get(f"{api.here}/abuse-reports", count=1).json()
    second = api.get(f"{api.here}/abuse-reports", offset=1).json()
    assert (first["list_id"], first["total_items"], second["total_items"]) == (api.list_id, 2, 2)
    assert [r["email_address"] for r in (*first["abuse_reports"], *second["abuse_reports"])] == [ANN, BOB]
    (report,) = first["abuse_reports"]
    assert (report["email_id"], report["date"]) == (api.get(api.member()).json()["id"], START.isoformat())
    assert (report["merge_fields"]["FNAME"], report["vip"]) == ("Ann", False)


def test_complaints_are_shown_in_parts(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    sandbox.complain(api.list_id, ANN)
    listed = api.get(f"{api.here}/abuse-reports", fields="abuse_reports.email_id,total_items").json()
    assert set(listed["abuse_reports"][0]) == {"email_id"}


def test_the_complaints_of_a_member_that_is_deleted_permanently_go_with_it(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member(ANN), a_member(BOB))
    for address in (ANN, BOB):
        sandbox.complain(api.list_id, address)
    api.delete_permanently()
    assert [report["id"] for report in api.get(f"{api.here}/abuse-reports").json()["abuse_reports"]] == [2]


@pytest.mark.parametrize("status", ["unsubscribed", "cleaned"])
def test_webhooks_are_told_of_a_complaint_as_a_cleaned_address(sandbox: Sandbox, api: AudienceApi, status: str) -> None:
    sandbox.configure(complaint_makes=status, hold_webhooks=True)
    sandbox.sign_up(api.list_id, ANN)
    sandbox.add_webhook(api.list_id, "https://nowhere.test/hook")
    sandbox.complain(api.list_id, ANN)
    (held,) = sandbox.take_webhooks()
    form = {name: values[0] for name, values in parse_qs(held.body).items()}
    assert (form["type"], form["data[reason]"], form["data[email]"]) == ("cleaned", "abuse", ANN)
