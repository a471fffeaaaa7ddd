"""`mailchimp.campaigns` over HTTP, the database and the sandbox."""

import pytest
import requests

from mailchimp_pipeline.services.refresh_campaigns import campaign_refresh
from mailchimp_pipeline_tests.api.procedures.examples import NO_ID
from mailchimp_pipeline_tests.api.procedures.stage import Tenant, a_tenant, parse_time
from mailchimp_pipeline_tests.api.trpc.wire import Answer
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import CampaignStatus, FaultKind, Figures

FIGURES = Figures(
    emails_sent=110,
    hard_bounces=4,
    soft_bounces=6,
    opens=90,
    unique_opens=40,
    clicks=30,
    unique_clicks=25,
    subscriber_clicks=20,
    unsubscribed=3,
    proxy_excluded_unique_opens=30,
)


def a_sent_one(tenant: Tenant, figures: Figures = FIGURES) -> str:
    campaign_id = tenant.stage.sandbox.add_campaign(tenant.list_id, "Spring", "What is new")
    tenant.stage.sandbox.move_campaign(campaign_id, CampaignStatus.SENT)
    tenant.stage.sandbox.set_figures(campaign_id, figures)
    return campaign_id


def track(tenant: Tenant, mailchimp_campaign_id: str) -> Answer:
    return tenant.mutate("campaigns.trackCampaign", {"mailchimpCampaignId": mailchimp_campaign_id})


def test_a_campaign_is_tracked_with_its_figures_as_fractions(connected: Tenant) -> None:
    campaign = track(connected, a_sent_one(connected)).data
    assert (campaign["title"], campaign["subjectLine"], campaign["status"]) == ("Spring", "What is new", "sent")
    assert (campaign["openRate"], campaign["clickRate"], campaign["mailchimpListId"]) == (0.4, 0.2, connected.list_id)
    assert (campaign["emailsSent"], campaign["uniqueOpens"], campaign["uniqueClicks"]) == (110, 40, 25)


def test_campaigns_that_are_not_tracked_are_listed(connected: Tenant) -> None:
    tracked, sent = a_sent_one(connected), a_sent_one(connected)
    latest = connected.stage.sandbox.add_campaign(connected.list_id, "Autumn", "Leaves")
    track(connected, tracked)
    found = connected.query("campaigns.available").data
    # Both were created within one second, by which Mailchimp sorts.
    by_id = {each["mailchimpCampaignId"]: each for each in found}
    assert by_id.keys() == {latest, sent}
    assert by_id[latest] == {
        "mailchimpCampaignId": latest,
        "title": "Autumn",
        "subjectLine": "Leaves",
        "mailchimpListId": connected.list_id,
        "mailchimpListName": "Staff",
        "status": "draft",
        "sendTime": None,
    }
    assert by_id[sent]["sendTime"] is not None


def test_at_most_a_hundred_campaigns_are_listed(connected: Tenant) -> None:
    for _ in range(101):
        connected.stage.sandbox.add_campaign(connected.list_id)
    assert len(connected.query("campaigns.available").data) == 100


@pytest.mark.parametrize("page", ["campaigns/show/?id={}", "reports/summary?id={}", "campaigns/edit?a=1&id={}#top"])
def test_a_campaign_is_tracked_by_the_address_of_its_page(connected: Tenant, page: str) -> None:
    campaign_id = a_sent_one(connected)
    url = f"{connected.stage.sandbox.api_root}/campaigns/{campaign_id}"
    web_id = requests.get(url, auth=("key", connected.api_key), timeout=TIMEOUT_SECONDS).json()["web_id"]
    tracked = track(connected, f"https://us6.admin.mailchimp.com/{page.format(web_id)}")
    assert tracked.data["mailchimpCampaignId"] == campaign_id


def test_the_address_of_another_page_is_no_campaign(connected: Tenant) -> None:
    assert track(connected, "https://us6.admin.mailchimp.com/lists/").error["data"]["code"] == "NOT_FOUND"


def test_the_fields_of_a_campaign_are_those_of_the_contract(connected: Tenant) -> None:
    assert list(track(connected, a_sent_one(connected)).data) == [
        "id",
        "mailchimpCampaignId",
        "title",
        "subjectLine",
        "mailchimpListId",
        "status",
        "openRate",
        "clickRate",
        "emailsSent",
        "uniqueOpens",
        "uniqueClicks",
        "sendTime",
        "lastRefreshedAt",
        "missingSince",
        "createdAt",
    ]


def test_a_draft_has_no_figures_yet(connected: Tenant) -> None:
    campaign = track(connected, connected.stage.sandbox.add_campaign(connected.list_id)).data
    assert (campaign["status"], campaign["openRate"], campaign["sendTime"]) == ("draft", None, None)
    assert connected.query("campaigns.history", {"id": campaign["id"]}).data["items"] == []


def test_tracking_twice_is_one_campaign(connected: Tenant) -> None:
    at_mailchimp = a_sent_one(connected)
    first, second = track(connected, at_mailchimp).data, track(connected, f" {at_mailchimp} ").data
    assert second["id"] == first["id"]
    assert connected.query("campaigns.list").data["items"] == [second]
    assert connected.audit_actions()[:2] == ["campaign.refreshed", "campaign.tracked"]


def test_a_campaign_is_found_by_the_number_in_the_address_of_its_page(connected: Tenant) -> None:
    sandbox = connected.stage.sandbox
    others = [sandbox.add_campaign(connected.list_id) for _ in range(3)]
    url = f"{sandbox.api_root}/campaigns/{others[1]}"
    web_id = requests.get(url, auth=("key", connected.api_key), timeout=TIMEOUT_SECONDS).json()["web_id"]
    by_number, by_id = track(connected, str(web_id)).data, track(connected, others[1]).data
    assert (by_number["mailchimpCampaignId"], by_number["id"]) == (others[1], by_id["id"])


@pytest.mark.parametrize("strange", ["0000000000", "..", "a/b", "a?b", "\0", "ann@acme.test"])
def test_an_id_that_the_account_does_not_have(connected: Tenant, strange: str) -> None:
    answer = track(connected, strange)
    assert (answer.status, answer.error["data"]["code"]) == (404, "NOT_FOUND")
    assert strange not in answer.error["message"] or strange == ".."


def test_a_campaign_of_another_account_is_not_there(connected: Tenant) -> None:
    theirs = a_sent_one(a_tenant(connected.stage, connected=True))
    assert track(connected, theirs).error["data"]["code"] == "NOT_FOUND"
    assert connected.query("campaigns.list").data["items"] == []


@pytest.mark.parametrize("wrong", [{}, {"mailchimpCampaignId": ""}, {"mailchimpCampaignId": "a" * 501}])
def test_an_id_of_the_wrong_form(connected: Tenant, wrong: dict[str, str]) -> None:
    answer = connected.mutate("campaigns.trackCampaign", wrong)
    assert answer.error["data"]["code"] == "BAD_REQUEST"
    assert list(answer.error["data"]["zodError"]["fieldErrors"]) == ["mailchimpCampaignId"]


def test_an_organisation_that_is_not_connected_tracks_nothing(tenant: Tenant) -> None:
    assert track(tenant, "a1b2c3d4e5").error["data"]["code"] == "PRECONDITION_FAILED"


def test_a_refresh_tells_how_it_does_now(connected: Tenant) -> None:
    at_mailchimp = a_sent_one(connected)
    campaign = track(connected, at_mailchimp).data
    connected.stage.sandbox.set_figures(at_mailchimp, FIGURES.model_copy(update={"unique_opens": 60}))
    refreshed = connected.mutate("campaigns.refreshStats", {"id": campaign["id"]}).data
    assert (refreshed["openRate"], refreshed["uniqueOpens"]) == (0.6, 60)
    assert parse_time(refreshed["lastRefreshedAt"]) > parse_time(campaign["lastRefreshedAt"])
    assert connected.query("campaigns.get", {"id": campaign["id"]}).data == refreshed


def test_a_campaign_that_is_deleted_keeps_its_figures_and_says_so(connected: Tenant) -> None:
    at_mailchimp = a_sent_one(connected)
    campaign = track(connected, at_mailchimp).data
    connected.stage.sandbox.delete_campaign(at_mailchimp)
    refreshed = connected.mutate("campaigns.refreshStats", {"id": campaign["id"]}).data
    assert parse_time(refreshed["missingSince"]) > parse_time(campaign["lastRefreshedAt"])
    assert refreshed | {"missingSince": None} == campaign


def test_the_history_is_read_in_pages_the_latest_first(connected: Tenant) -> None:
    campaign = track(connected, a_sent_one(connected)).data
    for _ in range(2):
        connected.mutate("campaigns.refreshStats", {"id": campaign["id"]})
    first = connected.query("campaigns.history", {"id": campaign["id"], "limit": 2}).data
    rest = connected.query("campaigns.history", {"id": campaign["id"], "cursor": first["nextCursor"]}).data
    times = [parse_time(row["refreshedAt"]) for row in first["items"] + rest["items"]]
    assert (len(times), times, rest["nextCursor"]) == (3, sorted(times, reverse=True), None)


def test_the_history_holds_all_figures(connected: Tenant) -> None:
    campaign = track(connected, a_sent_one(connected)).data
    (row,) = connected.query("campaigns.history", {"id": campaign["id"]}).data["items"]
    assert row == {
        "refreshedAt": campaign["lastRefreshedAt"],
        "status": "sent",
        "emailsSent": 110,
        "opens": 90,
        "uniqueOpens": 40,
        "openRate": 0.4,
        "openRateWithoutMachineOpens": 0.3,
        "clicks": 30,
        "uniqueClicks": 25,
        "clickRate": 0.2,
        "bounces": 10,
        "unsubscribes": 3,
    }


def test_a_key_that_was_revoked_is_noted_on_the_connection(connected: Tenant) -> None:
    campaign = track(connected, a_sent_one(connected)).data
    connected.stage.sandbox.revoke_key(connected.api_key)
    answer = connected.mutate("campaigns.refreshStats", {"id": campaign["id"]})
    assert answer.error["data"]["code"] == "UNPROCESSABLE_CONTENT"
    assert connected.audit_actions()[0] == "connection.key_refused"
    assert connected.query("campaigns.get", {"id": campaign["id"]}).data == campaign


def test_a_mailchimp_that_is_away_changes_nothing(connected: Tenant) -> None:
    campaign = track(connected, a_sent_one(connected)).data
    connected.stage.sandbox.start_outage(FaultKind.UNAVAILABLE)
    answer = connected.mutate("campaigns.refreshStats", {"id": campaign["id"]})
    connected.stage.sandbox.clear_faults()
    assert answer.error["data"]["code"] == "BAD_GATEWAY"
    assert connected.query("campaigns.get", {"id": campaign["id"]}).data == campaign


def test_what_the_pipeline_refreshes_is_what_the_api_tells(connected: Tenant) -> None:
    at_mailchimp = connected.stage.sandbox.add_campaign(connected.list_id)
    campaign = track(connected, at_mailchimp).data
    connected.stage.sandbox.move_campaign(at_mailchimp, CampaignStatus.SENDING)
    connected.stage.sandbox.set_figures(at_mailchimp, FIGURES)
    list(campaign_refresh(connected.stage.parts).refresh())
    after = connected.query("campaigns.get", {"id": campaign["id"]}).data
    assert (after["status"], after["openRate"], after["clickRate"]) == ("sending", 0.4, 0.2)


def test_an_untracked_campaign_is_not_found(connected: Tenant) -> None:
    for path in ("campaigns.get", "campaigns.history"):
        assert connected.query(path, {"id": NO_ID}).error["data"]["code"] == "NOT_FOUND"
