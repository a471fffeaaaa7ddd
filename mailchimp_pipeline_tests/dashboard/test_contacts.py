"""Contacts: found without their ids in URLs, opted out, exported, erased."""

import json

import pytest
from playwright.sync_api import expect

from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.dashboard.conftest import Visits
from mailchimp_pipeline_tests.dashboard.syncs import sync
from mailchimp_pipeline_tests.dashboard.visitor import Visitor
from sandbox import Status

# In some sources, the id of a contact is its address.
CONTACT = "zoe.quill@leaver.test"


@pytest.fixture
def employer(connected: Tenant) -> Tenant:
    """Return an organisation whose only contact is a subscribed member."""
    connected.add_employees({"id": CONTACT, "email": CONTACT, "first_name": "Zoe"})
    sync(connected, connected.create().data["id"])
    return connected


def find(visitor: Visitor, contact: str = CONTACT) -> None:
    visitor.open("/contacts")
    visitor.field("Id or address").fill(contact)
    visitor.click("Find")
    expect(visitor.page.get_by_role("heading", name=f"Employee {contact}")).to_be_visible()


def opt_out(visitor: Visitor) -> None:
    visitor.field("How did the contact say it?").fill("phone call")
    visitor.click("Record opt-out")


def status_at_mailchimp(tenant: Tenant) -> Status | None:
    member = tenant.stage.sandbox.member(tenant.list_id, CONTACT)
    return member and member.status


def test_an_opt_out_reaches_mailchimp(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    find(visitor)
    visitor.mark()
    expect(visitor.page.locator("section[aria-labelledby=consent] .badge")).to_have_count(0)
    opt_out(visitor)
    expect(visitor.page.locator("section[aria-labelledby=consent] .badge")).to_have_text("opted out")
    expect(visitor.page.get_by_text("The opt-out was recorded.")).to_be_visible()
    assert visitor.is_marked()
    assert status_at_mailchimp(employer) is Status.UNSUBSCRIBED


def test_a_contact_of_the_list_is_shown_by_its_button(employer: Tenant, visit: Visits) -> None:
    said = {"entityId": CONTACT, "entityType": "employee", "optedIn": False, "consentSource": "form"}
    employer.mutate("preferences.updateOptStatus", said)
    visitor = visit(employer)
    visitor.open("/contacts")
    visitor.click(f"Show employee {CONTACT}")
    expect(visitor.page.get_by_role("heading", name=f"Employee {CONTACT}")).to_be_visible()


def test_contacts_who_share_an_address_are_shown_by_their_buttons(connected: Tenant, visit: Visits) -> None:
    for location in ("Berlin", "Paris"):
        connected.add_employees({"id": f"in {location}", "email": CONTACT, "location": location})
        audience = connected.stage.sandbox.add_audience(connected.account_id, location)
        wanted = {"mailchimpListId": audience, "filterCriteria": {"location": location}}
        sync(connected, connected.create(**wanted).data["id"])
    visitor = visit(connected)
    visitor.open("/contacts")
    visitor.mark()
    visitor.field("Id or address").fill(CONTACT)
    visitor.click("Find")
    expect(visitor.page.get_by_role("group", name="Contacts with this address")).to_contain_text("in Berlin")
    visitor.click("Show employee in Paris")
    expect(visitor.page.get_by_role("heading", name="Employee in Paris")).to_be_visible()
    assert visitor.is_marked()


def test_all_data_about_a_contact_is_shown_and_downloaded(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    find(visitor)
    visitor.click("Show all data")
    expect(visitor.page.get_by_role("group", name="Segments")).to_contain_text("Everybody")
    expect(visitor.page.get_by_role("group", name="Audiences")).to_contain_text(CONTACT)
    with visitor.page.expect_download() as started:
        visitor.click("Download as JSON")
    assert started.value.suggested_filename == "contact.json"
    exported = json.loads(started.value.path().read_text(encoding="utf-8"))
    assert exported["memberships"][0]["email"] == CONTACT


def test_a_contact_is_erased_after_its_id_was_typed(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    find(visitor)
    visitor.page.get_by_text("Erase this contact", exact=True).click()
    confirmation = visitor.field("Type the id of the contact to confirm")
    confirmation.fill("somebody else")
    visitor.click("Erase")
    expect(confirmation).to_have_attribute("aria-invalid", "true")
    expect(visitor.error_of("Type the id of the contact to confirm")).to_be_visible()
    assert status_at_mailchimp(employer) is Status.SUBSCRIBED
    confirmation.fill(CONTACT)
    visitor.click("Erase")
    expect(visitor.page.get_by_text("The contact is erased")).to_be_visible()
    assert status_at_mailchimp(employer) is None


def test_no_url_or_title_names_a_contact(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    titles: list[str] = []
    visitor.page.on("domcontentloaded", lambda page: titles.append(page.title()))
    find(visitor)
    titles.append(visitor.page.title())
    opt_out(visitor)
    visitor.click("Show all data")
    expect(visitor.page.get_by_role("group", name="Segments")).to_be_visible()
    titles.append(visitor.page.title())
    visitor.open("/audit")
    for anchor in visitor.page.locator("main a").all():
        visitor.urls.append(anchor.get_attribute("href") or "")
    assert any(url.endswith("/contacts/find") for url in visitor.urls)
    assert [text for text in [*visitor.urls, *titles] if "quill" in text] == []
