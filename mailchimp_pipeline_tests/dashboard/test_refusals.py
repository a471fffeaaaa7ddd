"""What a visitor may not do: by its role, in another organisation, and through forms of other sites."""

from collections.abc import Mapping, Sequence

import pytest
from playwright.sync_api import Route, expect

from api.trpc import Role
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.dashboard.conftest import Visits
from mailchimp_pipeline_tests.dashboard.visitor import Visitor

SEGMENT, CAMPAIGN = "/segments/{segment}", "/campaigns/{campaign}"
CONTACT = {"entityType": "employee", "entityId": "1"}

FOR_EDITORS: Mapping[str, Mapping[str, str]] = {
    "/segments/new": {"name": "Sales", "segmentType": "employee", "mailchimpListId": "{list}", "onLeave": "keep"},
    f"{SEGMENT}/sync": {},
    f"{SEGMENT}/edit": {"name": "Other", "onLeave": "keep"},
    f"{SEGMENT}/retry": {},
    f"{SEGMENT}/delete": {},
    "/campaigns": {"mailchimpCampaignId": "{at_mailchimp}"},
    f"{CAMPAIGN}/refresh": {},
    "/contacts/opt-status": {**CONTACT, "optedIn": "false", "consentSource": "phone call"},
}
FOR_ADMINISTRATORS: Mapping[str, Mapping[str, str]] = {
    "/connection": {"apiKey": "{key}"},
    "/contacts/export": CONTACT,
    "/contacts/erase": {**CONTACT, "confirmation": "1"},
    "/settings": {"optInOnly": "true"},
    "/connection/disconnect": {},
}
FORMS = {**FOR_EDITORS, **FOR_ADMINISTRATORS}
"""All forms that change something, and valid fields of them."""


@pytest.fixture
def ids(connected: Tenant) -> Mapping[str, str]:
    """Return the ids of what the connected organisation has."""
    connected.add_employees({})
    at_mailchimp = connected.stage.sandbox.add_campaign(connected.list_id)
    tracked = connected.mutate("campaigns.trackCampaign", {"mailchimpCampaignId": at_mailchimp}).data
    return {
        "segment": connected.create().data["id"],
        "campaign": tracked["id"],
        "at_mailchimp": at_mailchimp,
        "list": connected.list_id,
        "key": connected.api_key,
    }


def send(
    visitor: Visitor, form: str, ids: Mapping[str, str], token: str, headers: Mapping[str, str] | None = None
) -> int:
    """Send a form by hand and return the status of the answer."""
    fields = {name: value.format(**ids) for name, value in FORMS[form].items()}
    return visitor.post(form.format(**ids), headers=headers, token=token, **fields).status


def statuses(visitor: Visitor, forms: Sequence[str], ids: Mapping[str, str]) -> dict[str, int]:
    token = visitor.form_token()
    return {form: send(visitor, form, ids, token) for form in forms}


def test_the_forms_of_these_tests_are_valid(connected: Tenant, visit: Visits, ids: Mapping[str, str]) -> None:
    answered = statuses(visit(connected), list(FORMS), ids)
    assert {form: status for form, status in answered.items() if status not in {200, 303}} == {}


@pytest.mark.parametrize(
    ("role", "forms"), [(Role.VIEWER, list(FORMS)), (Role.EDITOR, list(FOR_ADMINISTRATORS))], ids=["viewer", "editor"]
)
def test_a_form_that_the_role_may_not_send_is_refused(
    connected: Tenant, visit: Visits, ids: Mapping[str, str], role: Role, forms: Sequence[str]
) -> None:
    before = connected.audit_actions()
    assert statuses(visit(connected, role=role), forms, ids) == dict.fromkeys(forms, 403)
    assert connected.audit_actions() == before


def test_a_viewer_sees_no_button_that_changes_something(
    connected: Tenant, visit: Visits, ids: Mapping[str, str]
) -> None:
    said = {"entityId": "1", "entityType": "employee", "optedIn": False, "consentSource": "form"}
    connected.mutate("preferences.updateOptStatus", said)
    visitor = visit(connected, role=Role.VIEWER)
    lists = ["/", "/connection", "/segments", "/campaigns", "/audit", "/settings", "/contacts"]
    seen: set[str] = set()
    for path in [SEGMENT, CAMPAIGN, *lists]:
        visitor.open(path.format(**ids))
        seen |= buttons(visitor)
    visitor.click("Show employee 1")
    expect(visitor.page.get_by_role("heading", name="Employee 1")).to_be_visible()
    assert seen | buttons(visitor) == {"Sign out", "Find", "Show", "What would a sync do?"}


def buttons(visitor: Visitor) -> set[str]:
    """Return the texts of all buttons of forms, and of links that look like buttons."""
    return set(visitor.page.locator("form button, main a.button").all_inner_texts())


def test_pages_of_another_organisation_are_not_found(
    stage: Stage, connected: Tenant, visit: Visits, ids: Mapping[str, str]
) -> None:
    stranger = visit(a_tenant(stage, connected=True))
    pages = [SEGMENT, f"{SEGMENT}/edit", f"{SEGMENT}/rejected.csv", CAMPAIGN]
    forms = [form for form in FORMS if form.startswith((SEGMENT, CAMPAIGN))]
    assert {page: stranger.page.request.get(stage.url + page.format(**ids)).status for page in pages} == dict.fromkeys(
        pages, 404
    )
    assert statuses(stranger, forms, ids) == dict.fromkeys(forms, 404)
    assert connected.query("segments.get", {"id": ids["segment"]}).data["name"] == "Everybody"
    stranger.open(SEGMENT.format(**ids))
    expect(stranger.page.get_by_role("alert")).to_be_visible()


def test_a_form_of_another_origin_is_refused(connected: Tenant, visit: Visits, ids: Mapping[str, str]) -> None:
    visitor, before = visit(connected), connected.audit_actions()
    token = visitor.form_token()
    strange: list[dict[str, str]] = [{"origin": origin} for origin in ("http://evil.test", "null", "")]
    for headers in (*strange, {}):
        assert {send(visitor, form, ids, token, headers) for form in FORMS} == {403}
    assert connected.audit_actions() == before


def test_a_form_without_the_token_of_the_visitor_is_refused(
    stage: Stage, connected: Tenant, visit: Visits, ids: Mapping[str, str]
) -> None:
    visitor, before = visit(connected), connected.audit_actions()
    others = visit(a_tenant(stage)).form_token()
    for token in ("", "guessed", others):
        assert {send(visitor, form, ids, token) for form in FORMS} == {403}
    assert connected.audit_actions() == before


def test_a_page_of_another_site_cannot_send_a_form(connected: Tenant, visit: Visits, ids: Mapping[str, str]) -> None:
    visitor, before = visit(connected), connected.audit_actions()
    action = connected.stage.url + f"{SEGMENT}/delete".format(**ids)
    trap = f"<form method=post action={action}><input name=token value={visitor.form_token()}><button>Win</button>"

    def set_trap(route: Route) -> None:
        route.fulfill(content_type="text/html", body=trap)

    visitor.page.route("http://evil.test/", set_trap)
    visitor.page.goto("http://evil.test/")
    with visitor.page.expect_response(action) as answered:
        visitor.click("Win")
    assert answered.value.status == 401
    assert connected.audit_actions() == before
