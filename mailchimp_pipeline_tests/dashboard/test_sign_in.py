"""Sign-in with a one-time link, sessions that end, and sign-out."""

from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect
from starlette.requests import Request
from starlette.responses import Response

from api.auth import authenticator
from api.dashboard.sessions import SESSION_LIFETIME, Sessions
from api.trpc import Role
from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.dashboard.conftest import Visits
from mailchimp_pipeline_tests.dashboard.visitor import Visitor, link, sign_in_token


def is_asked_to_sign_in(visitor: Visitor) -> bool:
    response = visitor.open("/segments")
    return response.status == 401 and visitor.page.title().startswith("Sign in")


def with_session_of(visitor: Visitor, moment: datetime) -> None:
    """Give the browser the cookie of a session that began at that moment."""
    parts = visitor.tenant.stage.parts
    authenticate = authenticator(parts.settings, parts.keyring, now=lambda: moment)
    sessions = Sessions(authenticate, parts.keyring, now=lambda: moment)
    request = Request({"type": "http", "scheme": "http", "server": ("127.0.0.1", 80), "path": "/", "headers": []})
    response = Response()
    sessions.start(sessions.sign_in(sign_in_token(visitor.tenant, now=moment)), request, response)
    name, _, value = response.headers["set-cookie"].partition(";")[0].partition("=")
    visitor.page.context.add_cookies([{"name": name, "value": value, "url": visitor.tenant.stage.url}])


def follow(visitor: Visitor, url: str) -> None:
    """Open a link, and agree to sign in."""
    visitor.page.goto(url)
    visitor.click("Sign in")


def test_a_link_signs_in_and_leads_to_the_overview(tenant: Tenant, visit: Visits) -> None:
    visitor = visit(tenant, role=None)
    follow(visitor, link(tenant, Role.EDITOR))
    visitor.page.wait_for_url(f"{tenant.stage.url}/")
    expect(visitor.page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(visitor.page.locator(".account")).to_contain_text(f"{tenant.organisation_id} editor")


def test_a_link_asks_before_it_signs_in(tenant: Tenant, visit: Visits) -> None:
    visitor = visit(tenant, role=None)
    visitor.page.goto(link(tenant))
    expect(visitor.page.locator("main")).to_contain_text(tenant.organisation_id)
    assert is_asked_to_sign_in(visitor)


def test_the_pasted_token_of_a_link_signs_in(tenant: Tenant, visit: Visits) -> None:
    visitor = visit(tenant, role=None)
    assert is_asked_to_sign_in(visitor)
    visitor.field("Sign-in link").fill(f" {sign_in_token(tenant)} ")
    visitor.click("Sign in")
    visitor.page.wait_for_url(f"{tenant.stage.url}/")
    expect(visitor.page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_link_works_once(tenant: Tenant, visit: Visits) -> None:
    once = link(tenant)
    first, second = visit(tenant, role=None), visit(tenant, role=None)
    follow(first, once)
    first.page.wait_for_url(f"{tenant.stage.url}/")
    second.page.goto(once)
    expect(second.page.get_by_role("alert")).to_have_text("This sign-in link was used before: get a new one")
    assert is_asked_to_sign_in(second)


def test_a_session_ends_after_its_lifetime(tenant: Tenant, visit: Visits) -> None:
    visitor = visit(tenant, role=None)
    with_session_of(visitor, datetime.now(UTC) - SESSION_LIFETIME + timedelta(minutes=5))
    assert visitor.open("/segments").status == 200
    with_session_of(visitor, datetime.now(UTC) - SESSION_LIFETIME - timedelta(minutes=5))
    assert is_asked_to_sign_in(visitor)
    expect(visitor.page.get_by_role("alert")).to_have_text("The session has expired: sign in again")


def test_a_form_that_is_sent_after_the_session_ended_asks_to_sign_in(connected: Tenant, visit: Visits) -> None:
    visitor = visit(connected)
    visitor.open("/contacts")
    visitor.page.context.clear_cookies()
    visitor.field("Id or address").fill("1")
    visitor.click("Find")
    expect(visitor.page.get_by_role("alert")).to_have_text("Sign in first")
    expect(visitor.field("Sign-in link")).to_be_visible()


def test_signing_out_ends_the_session(tenant: Tenant, visit: Visits) -> None:
    visitor = visit(tenant)
    visitor.open("/")
    visitor.click("Sign out")
    visitor.page.wait_for_url("**/sign-in?signed-out")
    expect(visitor.page.get_by_role("status")).to_have_text("You are signed out.")
    assert is_asked_to_sign_in(visitor)
    assert visitor.page.context.cookies() == []
