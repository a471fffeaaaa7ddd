"""Campaigns: tracked, shown with a plot and a table, and refreshed."""

from playwright.sync_api import expect

from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.dashboard.conftest import Visits
from mailchimp_pipeline_tests.dashboard.visitor import Visitor
from sandbox import CampaignStatus, Figures


def a_sent_campaign(tenant: Tenant, title: str = "Spring", subject_line: str = "What is new") -> str:
    sandbox = tenant.stage.sandbox
    campaign_id = sandbox.add_campaign(tenant.list_id, title, subject_line)
    sandbox.move_campaign(campaign_id, CampaignStatus.SENT)
    sandbox.set_figures(campaign_id, Figures(emails_sent=100, unique_opens=40, subscriber_clicks=20))
    return campaign_id


def track(visitor: Visitor, campaign_id: str) -> None:
    visitor.field("Track a campaign").fill(campaign_id)
    visitor.click("Track")


def test_a_tracked_campaign_has_a_plot_and_a_table(connected: Tenant, visit: Visits) -> None:
    visitor = visit(connected)
    visitor.open("/campaigns")
    track(visitor, a_sent_campaign(connected))
    expect(visitor.page.get_by_role("heading", name="Spring")).to_be_visible()
    plot = visitor.page.get_by_role("img", name="Spring")
    expect(plot.locator("svg")).to_be_visible()
    box = plot.locator("svg").bounding_box()
    assert box is not None
    assert box["width"] > 200
    expect(visitor.page.locator("tbody tr")).to_have_count(1)
    expect(visitor.page.locator("tbody tr")).to_contain_text("40.0%")
    visitor.open("/campaigns")
    expect(visitor.page.get_by_role("link", name="Spring")).to_be_visible()


def test_a_campaign_is_chosen_from_those_at_mailchimp(connected: Tenant, visit: Visits) -> None:
    a_sent_campaign(connected, "Autumn")
    visitor = visit(connected)
    visitor.open("/campaigns")
    visitor.click("Track Autumn")
    expect(visitor.page.get_by_role("heading", name="Autumn")).to_be_visible()


def test_a_refresh_adds_a_row_without_a_reload(connected: Tenant, visit: Visits) -> None:
    at_mailchimp = a_sent_campaign(connected)
    tracked = connected.mutate("campaigns.trackCampaign", {"mailchimpCampaignId": at_mailchimp}).data
    visitor = visit(connected)
    visitor.open(f"/campaigns/{tracked['id']}")
    visitor.mark()
    connected.stage.sandbox.set_figures(at_mailchimp, Figures(emails_sent=100, unique_opens=60))
    visitor.click("Refresh")
    expect(visitor.page.locator(".facts")).to_contain_text("60.0%")
    expect(visitor.page.locator("tbody tr")).to_have_count(2)
    assert visitor.is_marked()


def test_an_unknown_campaign_is_refused_and_the_entered_id_stays(connected: Tenant, visit: Visits) -> None:
    visitor = visit(connected)
    visitor.open("/campaigns")
    track(visitor, "0000000000")
    expect(visitor.page.locator("#errors-mailchimpCampaignId")).to_contain_text("no such campaign")
    expect(visitor.field("Track a campaign")).to_have_value("0000000000")
