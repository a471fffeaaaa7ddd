"""A visitor of the dashboard: a browser that is signed in for one organisation, and what it saw."""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from playwright.sync_api import APIResponse, Browser, ConsoleMessage, Error, Locator, Page, Request, Response

from api.auth import MAX_SIGN_IN_LIFETIME, SIGN_IN_AUDIENCE, make_token
from api.dashboard import sign_in_link
from api.trpc import Role
from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.api.served import SECRET
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

# Chromium reports each refused form as an error of loading.
_REFUSED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser window of one organisation's actor."""

    tenant: Tenant
    page: Page
    problems: list[str] = field(default_factory=list[str])
    """Errors of scripts, violations of the content security policy, and answers with a status of 500 or more."""
    urls: list[str] = field(default_factory=list[str])
    """The URLs of all requests."""

    def open(self, path: str) -> Response:
        """Load a page."""
        response = self.page.goto(self.tenant.stage.url + path)
        assert response is not None
        return response

    def click(self, name: str) -> None:
        """Click the button with exactly this name."""
        self.button(name).click()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name, exact=True)

    def field(self, label: str) -> Locator:
        return self.page.get_by_label(label, exact=True)

    def error_of(self, label: str) -> Locator:
        """Return the error that a field names as its description."""
        described_by = self.field(label).get_attribute("aria-describedby") or ""
        return self.page.locator(f"#{described_by.split()[0]}")

    def badge(self) -> Locator:
        """Return the badge with the status of a segment."""
        return self.page.locator("#sync .badge")

    def mark(self) -> None:
        """Mark the document, to see later that it was not reloaded."""
        self.page.evaluate("window.marker = true")

    def is_marked(self) -> bool:
        """Return whether the document is still the marked one."""
        return bool(self.page.evaluate("window.marker === true"))

    def form_token(self) -> str:
        """Return the token of this visitor's forms."""
        self.open("/contacts")
        return self.page.locator("form[action='/contacts/find'] input[name=token]").first.input_value()

    def post(self, path: str, *, headers: Mapping[str, str] | None = None, **fields: str) -> APIResponse:
        """Send a form by hand, with the visitor's cookie and, by default, the headers of a form of the dashboard."""
        url = self.tenant.stage.url
        sent = {"origin": url} if headers is None else dict(headers)
        return self.page.request.post(url + path, form=dict(fields), headers=sent, max_redirects=0)

    def unfold(self) -> None:
        """Show what is folded on the page."""
        self.page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        width = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return int(width)


def sign_in_token(tenant: Tenant, role: Role = Role.ADMIN, *, now: datetime | None = None) -> str:
    return make_token(
        SECRET,
        organisation_id=tenant.organisation_id,
        actor=tenant.actor,
        role=role,
        now=now or datetime.now(UTC),
        lifetime=MAX_SIGN_IN_LIFETIME,
        audience=SIGN_IN_AUDIENCE,
    )


def link(tenant: Tenant, role: Role = Role.ADMIN) -> str:
    """Return a new link that signs in."""
    return sign_in_link(tenant.stage.url, sign_in_token(tenant, role))


@contextmanager
def a_visitor(
    browser: Browser, tenant: Tenant, *, role: Role | None = Role.ADMIN, scripts: bool = True
) -> Generator[Visitor]:
    """Open a window, signed in unless the role is None. Raises AssertionError if the browser saw problems."""
    with browser.new_context(java_script_enabled=scripts, locale="en-GB", timezone_id="UTC") as context:
        context.set_default_timeout(TIMEOUT_SECONDS * 1000)
        visitor = Visitor(tenant, context.new_page())
        _watch(visitor)
        if role is not None:
            sent: dict[str, str | float | bool] = {"token": sign_in_token(tenant, role)}
            assert context.request.post(
                f"{tenant.stage.url}/sign-in", form=sent, headers={"origin": tenant.stage.url}
            ).ok
        yield visitor
        assert visitor.problems == []


def _watch(visitor: Visitor) -> None:
    def note_message(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not _REFUSED.match(message.text):
            visitor.problems.append(message.text)

    def note_error(error: Error) -> None:
        visitor.problems.append(str(error))

    def note_request(request: Request) -> None:
        visitor.urls.append(request.url)

    def note_response(response: Response) -> None:
        if response.status >= 500:
            visitor.problems.append(f"{response.status} {response.url}")

    visitor.page.on("console", note_message)
    visitor.page.on("pageerror", note_error)
    visitor.page.on("request", note_request)
    visitor.page.on("response", note_response)
