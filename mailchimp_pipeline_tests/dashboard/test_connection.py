"""The page of the connection: keys that are malformed, refused and good, and the end of a connection."""

from playwright.sync_api import expect

from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.dashboard.conftest import Visits
from mailchimp_pipeline_tests.dashboard.visitor import Visitor


def give_key(visitor: Visitor, key: str) -> None:
    visitor.field("API key").fill(key)
    visitor.click("Connect Mailchimp")


def test_a_malformed_key_is_an_error_beside_the_field(tenant: Tenant, visit: Visits) -> None:
    visitor = visit(tenant)
    visitor.open("/connection")
    give_key(visitor, "no-key")
    expect(visitor.field("API key")).to_have_attribute("aria-invalid", "true")
    expect(visitor.field("API key")).to_be_focused()
    expect(visitor.error_of("API key")).to_be_visible()
    assert "no-key" not in visitor.page.content()


def test_a_key_that_mailchimp_refuses_connects_nothing(tenant: Tenant, visit: Visits) -> None:
    visitor = visit(tenant)
    visitor.open("/connection")
    give_key(visitor, f"{'f' * 32}-us6")
    expect(visitor.page.locator("#errors-apiKey")).to_contain_text("key")
    visitor.open("/connection")
    expect(visitor.button("Connect Mailchimp")).to_be_visible()
    assert tenant.query("connection.get").data is None


def test_a_good_key_connects_its_account(tenant: Tenant, visit: Visits) -> None:
    visitor = visit(tenant)
    visitor.open("/connection")
    visitor.mark()
    give_key(visitor, tenant.api_key)
    expect(visitor.page.get_by_role("status").first).to_have_text("Mailchimp is connected.")
    expect(visitor.page.locator("main")).to_contain_text(f"…{tenant.api_key.partition('-')[0][-4:]}")
    assert visitor.is_marked()
    assert tenant.api_key not in visitor.page.content()
    visitor.open("/")
    expect(visitor.page.get_by_role("cell", name="Staff")).to_be_visible()


def test_disconnecting_ends_the_connection(connected: Tenant, visit: Visits) -> None:
    visitor = visit(connected)
    visitor.open("/connection")
    visitor.page.locator("summary", has_text="Disconnect").click()
    visitor.click("Disconnect Mailchimp")
    expect(visitor.page.get_by_role("status").first).to_contain_text("Mailchimp is disconnected.")
    expect(visitor.button("Connect Mailchimp")).to_be_visible()
    visitor.open("/")
    expect(visitor.page.get_by_role("heading", name="Mailchimp is not connected")).to_be_visible()
