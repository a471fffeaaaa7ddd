"""Segments: the form with its live preview, syncs without a reload, rejected contacts, mass departures."""

import csv
import io

import pytest
from playwright.sync_api import expect

from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.dashboard.conftest import Visits
from mailchimp_pipeline_tests.dashboard.syncs import a_sync_held_at_mailchimp, sync, sync_what_was_requested
from mailchimp_pipeline_tests.dashboard.visitor import Visitor

FAKE = {"email": "fake@example.com"}


@pytest.fixture
def employer(connected: Tenant) -> Tenant:
    """Return an organisation with four employees in sales, and one elsewhere."""
    connected.add_employees({}, {}, {}, {}, {"department": "Support"})
    return connected


def a_segment(tenant: Tenant, **changed: object) -> str:
    made: str = tenant.create(**changed).data["id"]
    return made


def fill_in(visitor: Visitor, name: str, department: str = "") -> None:
    visitor.field("Name").fill(name)
    visitor.page.get_by_label("Mailchimp audience").select_option(label="Staff")
    visitor.field("Department").fill(department)


def test_the_preview_counts_while_one_types(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    visitor.open("/segments/new")
    visitor.mark()
    preview = visitor.page.locator("#preview")
    visitor.field("Department").press_sequentially("Sales")
    expect(preview).to_contain_text("4 contacts would be members.")
    visitor.field("Department").fill("Support")
    expect(preview).to_contain_text("1 contact would be a member.")
    expect(visitor.field("Department")).to_be_focused()
    assert visitor.is_marked()


def test_the_preview_says_who_is_left_out(employer: Tenant, visit: Visits) -> None:
    employer.add_employees({"id": "6", "email": ""})
    visitor = visit(employer)
    visitor.open("/segments/new")
    visitor.click("Preview")
    preview = visitor.page.locator("#preview")
    expect(preview).to_contain_text("5 contacts would be members.")
    expect(preview).to_contain_text("6 match the filter.")
    expect(preview.get_by_role("listitem")).to_contain_text("they have no address")


def test_a_value_of_the_source_is_chosen_for_a_filter(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    visitor.open("/segments/new")
    visitor.click("Show the values in the source")
    visitor.click("Support")
    expect(visitor.field("Department")).to_have_value("Support")
    expect(visitor.page.locator("#preview")).to_contain_text("1 contact would be a member.")
    visitor.click("Support")
    expect(visitor.field("Department")).to_have_value("")


def test_a_segment_is_created(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    visitor.open("/segments")
    visitor.page.get_by_role("link", name="Create the first segment").click()
    visitor.mark()
    fill_in(visitor, "Sales", "Sales\nMarketing")
    visitor.click("Create")
    expect(visitor.page.get_by_role("heading", name="Sales", exact=True)).to_be_visible()
    expect(visitor.page.get_by_role("status").first).to_contain_text("The segment was created.")
    expect(visitor.badge()).to_have_text("pending")
    assert visitor.is_marked()
    (made,) = employer.query("segments.list").data["items"]
    assert visitor.page.url == f"{employer.stage.url}/segments/{made['id']}?done=segment_created"
    assert (made["name"], made["filterCriteria"]["department"]) == ("Sales", ["Sales", "Marketing"])


def test_a_name_with_an_address_is_refused_and_the_entered_values_stay(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    visitor.open("/segments/new")
    visitor.field("Both").check()
    fill_in(visitor, "Friends of ann@acme.test", "Sales")
    visitor.click("Create")
    expect(visitor.field("Name")).to_have_attribute("aria-invalid", "true")
    expect(visitor.error_of("Name")).to_be_visible()
    expect(visitor.field("Name")).to_have_value("Friends of ann@acme.test")
    expect(visitor.field("Department")).to_have_value("Sales")
    expect(visitor.page.get_by_label("Mailchimp audience")).to_have_value(employer.list_id)
    expect(visitor.field("Both")).to_be_checked()
    assert employer.query("segments.list").data["items"] == []


def test_what_a_sync_would_do_is_shown_before_it(employer: Tenant, visit: Visits) -> None:
    segment_id = a_segment(employer)
    sync(employer, segment_id)
    employer.add_employees({"id": "6", "email": "six@people.test"})
    visitor = visit(employer)
    visitor.open(f"/segments/{segment_id}")
    visitor.mark()
    visitor.click("What would a sync do?")
    preview = visitor.page.locator("#preview")
    expect(preview.get_by_role("row").filter(has_text="are added")).to_contain_text("employee 6")
    expect(preview.get_by_role("row").filter(has_text="stay as they are")).to_contain_text("5")
    expect(preview).to_contain_text("The audience was last read at")
    assert visitor.is_marked()


def test_the_status_follows_a_sync_without_a_reload(employer: Tenant, visit: Visits) -> None:
    visitor = visit(employer)
    visitor.open(f"/segments/{a_segment(employer)}")
    visitor.mark()
    visitor.click("Sync now")
    expect(visitor.button("Sync now")).to_be_disabled()
    with a_sync_held_at_mailchimp(employer):
        expect(visitor.badge()).to_have_text("syncing")
    expect(visitor.badge()).to_have_text("synced")
    expect(visitor.page.locator("#live")).to_contain_text("5 of 5")
    expect(visitor.button("Sync now")).to_be_enabled()
    assert visitor.is_marked()


def test_a_sync_can_be_requested_from_the_list(employer: Tenant, visit: Visits) -> None:
    a_segment(employer, name="Everybody")
    visitor = visit(employer)
    visitor.open("/segments")
    visitor.mark()
    visitor.click("Sync Everybody")
    sync_what_was_requested(employer)
    expect(visitor.page.locator(".badge").first).to_have_text("synced")
    assert visitor.is_marked()


def test_a_rejected_contact_is_shown_with_the_reason_and_exported(employer: Tenant, visit: Visits) -> None:
    employer.add_employees({"id": "6"} | FAKE)
    segment_id = a_segment(employer)
    sync(employer, segment_id)
    visitor = visit(employer)
    visitor.open(f"/segments/{segment_id}")
    row = visitor.page.get_by_role("row").filter(has_text="employee 6")
    expect(row).to_contain_text("Correct it in the source")
    with visitor.page.expect_download() as started:
        visitor.page.get_by_role("link", name="Export CSV").click()
    (exported,) = csv.DictReader(io.StringIO(started.value.path().read_text(encoding="utf-8")))
    assert (exported["entityType"], exported["entityId"], exported["reason"]) == ("employee", "6", "looks_fake")
    assert FAKE["email"] not in visitor.page.content()


def test_a_rejected_contact_is_sent_again_on_request(employer: Tenant, visit: Visits) -> None:
    employer.add_employees({"id": "6"} | FAKE)
    segment_id, sandbox = a_segment(employer), employer.stage.sandbox
    sync(employer, segment_id)
    visitor = visit(employer)
    visitor.open(f"/segments/{segment_id}")
    visitor.click("Send again with the next sync")
    expect(visitor.page.get_by_role("status").first).to_have_text("The next sync sends the rejected contacts again.")
    sync(employer, segment_id)
    assert sandbox.times_sent(employer.list_id, FAKE["email"]) == 2


def test_a_mass_departure_is_confirmed_and_the_next_sync_succeeds(employer: Tenant, visit: Visits) -> None:
    segment_id = a_segment(employer)
    sync(employer, segment_id)
    visitor = visit(employer)
    visitor.open(f"/segments/{segment_id}/edit")
    visitor.field("Department").fill("Support")
    visitor.click("Save")
    visitor.click("Sync now")
    sync_what_was_requested(employer)
    expect(visitor.badge()).to_have_text("error")
    expect(visitor.page.locator("#live .notice.bad")).to_contain_text("4 of the 5 members")
    visitor.mark()
    visitor.page.get_by_text("Confirm the departures", exact=True).click()
    visitor.click("Sync with departures confirmed")
    sync_what_was_requested(employer)
    expect(visitor.badge()).to_have_text("synced")
    expect(visitor.page.locator("#live")).to_contain_text("1 of 1")
    assert visitor.is_marked()


def test_a_segment_in_error_is_on_the_overview(employer: Tenant, visit: Visits) -> None:
    employer.add_employees({"id": "6"} | FAKE, {"id": "7", "email": "false@example.com"})
    segment_id = a_segment(employer, name="Doubtful")
    sync(employer, segment_id)
    visitor = visit(employer)
    visitor.open("/")
    visitor.page.get_by_role("link", name="Doubtful").click()
    expect(visitor.badge()).to_have_text("error")
    expect(visitor.button("Sync with departures confirmed")).to_have_count(0)


def test_a_segment_is_deleted(employer: Tenant, visit: Visits) -> None:
    segment_id = a_segment(employer)
    visitor = visit(employer)
    visitor.open(f"/segments/{segment_id}")
    visitor.page.get_by_text("Delete this segment", exact=True).click()
    visitor.click("Delete segment")
    expect(visitor.page.get_by_role("status").first).to_contain_text("The segment was deleted.")
    assert employer.query("segments.list").data["items"] == []


def test_the_list_can_be_sorted(connected: Tenant, visit: Visits) -> None:
    for name in ("Beta", "Alpha", "Gamma"):
        a_segment(connected, name=name)
    visitor = visit(connected)
    visitor.open("/segments")
    names, heading = visitor.page.locator("tbody strong"), visitor.page.locator("th").first
    heading.get_by_role("button").click()
    expect(names).to_have_text(["Alpha", "Beta", "Gamma"])
    expect(heading).to_have_attribute("aria-sort", "ascending")
    heading.get_by_role("button").click()
    expect(names).to_have_text(["Gamma", "Beta", "Alpha"])


def test_the_browser_goes_back_after_a_form(connected: Tenant, visit: Visits) -> None:
    visitor = visit(connected)
    visitor.open("/segments/new")
    fill_in(visitor, "Sales")
    visitor.click("Create")
    expect(visitor.page.get_by_role("heading", name="Sales", exact=True)).to_be_visible()
    visitor.page.go_back()
    expect(visitor.page.get_by_role("heading", name="New segment")).to_be_visible()


def test_a_server_that_does_not_answer_is_said_and_the_form_stays(connected: Tenant, visit: Visits) -> None:
    visitor = visit(connected)
    visitor.open("/segments/new")
    fill_in(visitor, "Sales")
    visitor.page.context.set_offline(offline=True)
    visitor.click("Create")
    expect(visitor.page.get_by_role("alert")).to_contain_text("The server did not answer.")
    expect(visitor.field("Name")).to_have_value("Sales")
    visitor.page.context.set_offline(offline=False)
    visitor.click("Create")
    expect(visitor.page.get_by_role("heading", name="Sales", exact=True)).to_be_visible()
    visitor.problems.clear()
