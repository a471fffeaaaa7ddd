"""An organisation that has something on every page, in texts of the test's choice, and a walk over all pages."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import quote

from playwright.sync_api import expect

from mailchimp_pipeline_tests.api.procedures.examples import NO_ID
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.dashboard.syncs import sync
from mailchimp_pipeline_tests.dashboard.visitor import Visitor, sign_in_token
from sandbox import CampaignStatus, Figures

LISTS = ("/", "/connection", "/segments", "/campaigns", "/contacts", "/audit", "/settings")


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts that people and other systems choose."""

    name: str = "Everybody in sales"
    description: str = "All who sell something."
    contact: str = "4711"
    department: str = "Sales"
    account: str = "Acme"
    audience: str = "Staff"
    title: str = "Spring"
    subject_line: str = "What is new"
    source: str = "phone call"
    actor: str = "alice"


@dataclass(frozen=True, slots=True)
class Furnished:
    """The organisation, and the ids of its segments and its campaign."""

    tenant: Tenant
    texts: Texts
    synced: str
    failed: str
    campaign: str


def furnish(stage: Stage, texts: Texts) -> Furnished:
    """Return an organisation with a synced segment, one in error, a rejected contact, an opt-out and a campaign."""
    tenant = _an_organisation(stage, texts)
    synced = tenant.create(name=texts.name, description=texts.description).data["id"]
    failed = tenant.create(name=f"{texts.name} 2").data["id"]
    sync(tenant, synced)
    sync(tenant, failed)
    tenant.mutate("segments.update", {"id": failed, "filterCriteria": {"department": [texts.department]}})
    sync(tenant, failed)
    said = {"entityType": "employee", "entityId": texts.contact, "consentSource": texts.source}
    assert tenant.mutate("preferences.updateOptStatus", said | {"optedIn": False}).status == 200
    return Furnished(tenant, texts, synced, failed, _a_campaign(tenant, texts))


def _an_organisation(stage: Stage, texts: Texts) -> Tenant:
    plain = a_tenant(stage)
    key = f"{plain.api_key.partition('-')[0][::-1]}-us6"
    account = stage.sandbox.add_account(key, texts.account)
    list_id = stage.sandbox.add_audience(account, texts.audience)
    tenant = replace(plain, api_key=key, account_id=account, list_id=list_id, actor=texts.actor)
    assert tenant.connect().status == 200
    people = [{"id": str(number), "email": f"p{number}@furnished.test"} for number in range(3)]
    rejected = {"id": f"{texts.contact}-rejected", "email": "fake@example.com"}
    tenant.add_employees(*people, {"id": texts.contact, "department": texts.department}, rejected)
    return tenant


def _a_campaign(tenant: Tenant, texts: Texts) -> str:
    sandbox = tenant.stage.sandbox
    at_mailchimp = sandbox.add_campaign(tenant.list_id, texts.title, texts.subject_line)
    sandbox.move_campaign(at_mailchimp, CampaignStatus.SENT)
    sandbox.set_figures(at_mailchimp, Figures(emails_sent=1000, unique_opens=400, subscriber_clicks=20))
    tracked = tenant.mutate("campaigns.trackCampaign", {"mailchimpCampaignId": at_mailchimp}).data["id"]
    tenant.mutate("campaigns.refreshStats", {"id": tracked})
    return str(tracked)


def walk(visitor: Visitor, organisation: Furnished) -> Iterator[str]:
    """Open one page after the other, in each of its states, and yield what the window shows."""
    segment, failed = f"/segments/{organisation.synced}", f"/segments/{organisation.failed}"
    details = [segment, failed, f"{segment}/edit", f"/campaigns/{organisation.campaign}"]
    about = f"/audit?entityType=segment&entityId={organisation.synced}"
    sign_in = ["/sign-in", "/sign-in?token=wrong", f"/sign-in?token={sign_in_token(organisation.tenant)}"]
    by = f"/audit?actor={quote(organisation.texts.actor)}"
    for path in [*LISTS, *details, about, by, f"/segments/{NO_ID}", *sign_in]:
        visitor.open(path)
        yield path
    visitor.open(segment)
    visitor.click("What would a sync do?")
    expect(visitor.page.locator("#preview")).to_contain_text("What a sync would do now")
    yield "a planned sync"
    yield from _forms(visitor)
    yield from _contact(visitor, organisation.texts.contact)


def walk_without_anything(visitor: Visitor) -> Iterator[str]:
    """Open the pages of an organisation that has nothing yet."""
    for path in [*LISTS, "/segments/new"]:
        visitor.open(path)
        yield path


def _forms(visitor: Visitor) -> Iterator[str]:
    visitor.open("/segments/new")
    visitor.click("Preview")
    expect(visitor.page.locator("#preview")).to_contain_text("match the filter")
    yield "a preview"
    visitor.field("Name").fill("ann@acme.test")
    visitor.page.get_by_label("Mailchimp audience").select_option(index=1)
    visitor.click("Create")
    expect(visitor.field("Name")).to_have_attribute("aria-invalid", "true")
    yield "a refused segment"
    visitor.open("/connection")
    visitor.unfold()
    visitor.field("API key").fill("no-key")
    visitor.click("Replace the key")
    expect(visitor.field("API key")).to_have_attribute("aria-invalid", "true")
    yield "a refused key"
    visitor.open("/campaigns")
    visitor.field("Track a campaign").fill("0000000000")
    visitor.click("Track")
    expect(visitor.field("Track a campaign")).to_have_attribute("aria-invalid", "true")
    yield "a refused campaign"


def _contact(visitor: Visitor, contact: str) -> Iterator[str]:
    visitor.open("/contacts")
    visitor.field("Id or address").fill("nobody@furnished.test")
    visitor.click("Find")
    expect(visitor.page.get_by_text("No contact with this address was synced yet.")).to_be_visible()
    yield "an unknown address"
    visitor.field("Id or address").fill(contact)
    visitor.click("Find")
    expect(visitor.page.get_by_role("heading", level=1)).to_contain_text("Employee")
    yield "a contact"
    visitor.click("Show all data")
    expect(visitor.button("Show all data")).to_have_count(0)
    yield "a contact's data"
    visitor.unfold()
    visitor.field("Type the id of the contact to confirm").fill("wrong")
    visitor.click("Erase")
    expect(visitor.field("Type the id of the contact to confirm")).to_have_attribute("aria-invalid", "true")
    yield "a refused erasure"
    visitor.field("Type the id of the contact to confirm").fill(contact)
    visitor.click("Erase")
    expect(visitor.page.get_by_text("The contact is erased")).to_be_visible()
    yield "an erased contact"
