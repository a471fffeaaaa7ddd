"""Campaigns and their reports."""

from typing import Any

import pytest

from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline_tests.sandbox.calls import START, AudienceApi, SetClock
from sandbox import CampaignStatus, Figures, Sandbox

FIGURES = Figures(
    emails_sent=110, opens=90, unique_opens=50, clicks=30, unique_clicks=25, subscriber_clicks=20, hard_bounces=10
)


def sent_campaign(sandbox: Sandbox, list_id: str, figures: Figures = FIGURES) -> str:
    """Create a sent campaign and return its id."""
    campaign_id = sandbox.add_campaign(list_id, "Spring", "What is new")
    sandbox.move_campaign(campaign_id, CampaignStatus.SENT)
    sandbox.set_figures(campaign_id, figures)
    return campaign_id


def campaigns(api: AudienceApi, **query: object) -> list[dict[str, Any]]:
    """Return the campaigns that match a query."""
    answer = api.get("/campaigns", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()["campaigns"]


def test_a_draft_has_no_report_and_no_time(sandbox: Sandbox, api: AudienceApi) -> None:
    campaign_id = sandbox.add_campaign(api.list_id, "Spring", "What is new")
    campaign = api.get(f"/campaigns/{campaign_id}").json()
    assert (campaign["status"], campaign["send_time"], "report_summary" in campaign) == ("save", "", False)
    assert (campaign["settings"]["title"], campaign["settings"]["subject_line"]) == ("Spring", "What is new")
    assert api.get(f"/reports/{campaign_id}").status_code == 404


def test_rates_are_shares_of_what_was_delivered(sandbox: Sandbox, api: AudienceApi) -> None:
    campaign_id = sent_campaign(sandbox, api.list_id)
    report = api.get(f"/reports/{campaign_id}").json()
    assert (report["opens"]["open_rate"], report["clicks"]["click_rate"]) == (0.5, 0.2)
    summary = api.get(f"/campaigns/{campaign_id}").json()["report_summary"]
    assert (summary["open_rate"], summary["click_rate"], summary["unique_opens"]) == (0.5, 0.2, 50)


def test_opens_without_proxies_are_there_only_where_counted(sandbox: Sandbox, api: AudienceApi) -> None:
    old = sent_campaign(sandbox, api.list_id)
    new = sent_campaign(sandbox, api.list_id, FIGURES.model_copy(update={"proxy_excluded_unique_opens": 25}))
    assert "proxy_excluded_open_rate" not in api.get(f"/reports/{old}").json()["opens"]
    assert api.get(f"/reports/{new}").json()["opens"]["proxy_excluded_open_rate"] == 0.25


def test_nothing_delivered_is_a_rate_of_nothing(sandbox: Sandbox, api: AudienceApi) -> None:
    campaign_id = sent_campaign(sandbox, api.list_id, Figures(emails_sent=3, soft_bounces=3))
    assert api.get(f"/reports/{campaign_id}").json()["opens"]["open_rate"] == 0


@pytest.mark.parametrize("status", list(CampaignStatus))
def test_a_campaign_is_moved_to_any_state(sandbox: Sandbox, api: AudienceApi, status: CampaignStatus) -> None:
    campaign_id = sandbox.add_campaign(api.list_id)
    sandbox.move_campaign(campaign_id, status)
    assert api.get(f"/campaigns/{campaign_id}").json()["status"] == status


def test_a_scheduled_campaign_has_a_time_to_come_and_is_sent_when_it_is(
    sandbox: Sandbox, api: AudienceApi, clock: SetClock
) -> None:
    campaign_id = sandbox.add_campaign(api.list_id)
    sandbox.move_campaign(campaign_id, CampaignStatus.SCHEDULE, START.replace(hour=12))
    assert api.get(f"/campaigns/{campaign_id}").json()["send_time"] == "2026-03-01T12:00:00+00:00"
    clock.advance(seconds=60)
    sandbox.move_campaign(campaign_id, CampaignStatus.SENDING)
    assert api.get(f"/campaigns/{campaign_id}").json()["send_time"] == "2026-03-01T08:01:00+00:00"
    assert api.get("/reports").json()["total_items"] == 1


def test_campaigns_can_be_filtered(sandbox: Sandbox, account_id: str, api: AudienceApi, clock: SetClock) -> None:
    first = sent_campaign(sandbox, api.list_id)
    clock.advance(seconds=60)
    second = sandbox.add_campaign(sandbox.add_audience(account_id))
    assert [c["id"] for c in campaigns(api, status="sent")] == [first]
    assert [c["id"] for c in campaigns(api, list_id=api.list_id)] == [first]
    assert [c["id"] for c in campaigns(api, since_create_time=START.isoformat())] == [second]
    assert [c["id"] for c in campaigns(api, before_send_time=clock.moment.isoformat())] == [first]


def test_campaigns_come_in_pages_in_the_order_asked_for(sandbox: Sandbox, api: AudienceApi, clock: SetClock) -> None:
    made: list[str] = []
    for _ in range(3):
        made.append(sent_campaign(sandbox, api.list_id))
        clock.advance(seconds=60)
    assert [c["id"] for c in campaigns(api, sort_field="send_time", sort_dir="DESC")] == made[::-1]
    assert [c["id"] for c in campaigns(api, count=2, offset=1)] == made[1:]
    assert api.get("/reports", count=1, since_send_time=START.isoformat()).json()["total_items"] == 2


@pytest.mark.parametrize("status", ["canceled", "canceling", "archived", "draft"])
def test_some_states_cannot_be_asked_for(api: AudienceApi, status: str) -> None:
    assert api.get("/campaigns", status=status).status_code == 400


def test_parts_of_a_report_that_a_draft_lacks_may_be_asked_for(sandbox: Sandbox, api: AudienceApi) -> None:
    campaign_id = sandbox.add_campaign(api.list_id)
    answer = api.get(f"/campaigns/{campaign_id}", fields="id,report_summary.open_rate")
    assert (answer.status_code, answer.json()) == (200, {"id": campaign_id})


def test_a_deleted_campaign_is_not_found(sandbox: Sandbox, api: AudienceApi) -> None:
    campaign_id = sent_campaign(sandbox, api.list_id)
    sandbox.delete_campaign(campaign_id)
    assert api.get(f"/campaigns/{campaign_id}").status_code == 404
    assert api.get(f"/reports/{campaign_id}").status_code == 404
    with pytest.raises(PipelineError, match="has no campaign"):
        sandbox.delete_campaign(campaign_id)


def test_a_list_knows_when_it_was_last_written_to(sandbox: Sandbox, api: AudienceApi) -> None:
    sent_campaign(sandbox, api.list_id)
    stats = api.get(api.here).json()["stats"]
    assert (stats["campaign_count"], stats["campaign_last_sent"]) == (1, START.isoformat())
