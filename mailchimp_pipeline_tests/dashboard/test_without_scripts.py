"""The pages in a browser without JavaScript."""

from playwright.sync_api import expect

from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.dashboard.conftest import Visits
from mailchimp_pipeline_tests.dashboard.syncs import sync_what_was_requested
from sandbox import Status


def test_a_segment_is_connected_created_and_synced(tenant: Tenant, visit: Visits) -> None:
    tenant.add_employees({}, {}, {"department": "Support"})
    visitor = visit(tenant, scripts=False)
    visitor.open("/connection")
    visitor.field("API key").fill("no-key")
    visitor.click("Connect Mailchimp")
    expect(visitor.error_of("API key")).to_be_visible()
    visitor.field("API key").fill(tenant.api_key)
    visitor.click("Connect Mailchimp")
    expect(visitor.page.get_by_text("Mailchimp is connected.")).to_be_visible()
    visitor.page.get_by_role("link", name="Segments").click()
    visitor.page.get_by_role("link", name="Create the first segment").click()
    visitor.field("Department").fill("Sales")
    visitor.click("Preview")
    expect(visitor.page.locator("#preview")).to_contain_text("2 contacts would be members.")
    visitor.field("Name").fill("Sales")
    visitor.page.get_by_label("Description").fill("All who sell.\nSince 2026.")
    visitor.page.get_by_label("Mailchimp audience").select_option(label="Staff")
    visitor.click("Create")
    expect(visitor.badge()).to_have_text("pending")
    visitor.click("Sync now")
    expect(visitor.button("Sync now")).to_be_disabled()
    sync_what_was_requested(tenant)
    visitor.page.reload()
    expect(visitor.badge()).to_have_text("synced")
    expect(visitor.page.locator("#live")).to_contain_text("2 of 2")
    expect(visitor.page.locator("time").first).to_contain_text("UTC")
    (made,) = tenant.query("segments.list").data["items"]
    assert made["description"] == "All who sell.\nSince 2026."


def test_a_contact_opts_out_and_is_erased(connected: Tenant, visit: Visits) -> None:
    connected.add_employees({"id": "4711", "email": "zoe@leaver.test"})
    visitor = visit(connected, scripts=False)
    visitor.open("/segments/new")
    visitor.field("Name").fill("Everybody")
    visitor.page.get_by_label("Mailchimp audience").select_option(label="Staff")
    visitor.click("Create")
    visitor.click("Sync now")
    sync_what_was_requested(connected)
    visitor.page.get_by_role("link", name="Contacts").click()
    visitor.field("Id or address").fill("4711")
    visitor.click("Find")
    visitor.field("How did the contact say it?").fill("phone call")
    visitor.click("Record opt-out")
    expect(visitor.page.locator("section[aria-labelledby=consent] .badge")).to_have_text("opted out")
    member = connected.stage.sandbox.member(connected.list_id, "zoe@leaver.test")
    assert member is not None
    assert member.status is Status.UNSUBSCRIBED
    visitor.page.get_by_text("Erase this contact", exact=True).click()
    visitor.field("Type the id of the contact to confirm").fill("4711")
    visitor.click("Erase")
    expect(visitor.page.get_by_text("The contact is erased")).to_be_visible()
    assert connected.stage.sandbox.member(connected.list_id, "zoe@leaver.test") is None
