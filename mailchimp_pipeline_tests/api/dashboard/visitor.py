"""A browser without JavaScript: it keeps the session cookie and sends the forms of pages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from api.auth import SIGN_IN_AUDIENCE, make_token
from api.dashboard.sessions import COOKIE
from api.trpc import Role
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant
from mailchimp_pipeline_tests.api.served import SECRET
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send

FORM = "application/x-www-form-urlencoded"

_FORM_TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Visitor:
    """A signed-in browser of a tenant."""

    tenant: Tenant
    cookie: str
    form_token: str

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.tenant.stage.port}"

    def visit(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """Request a page."""
        return send(self.tenant.stage.port, path, method, None, {"cookie": f"{COOKIE}={self.cookie}"} | headers)

    def submit(self, path: str, fields: Mapping[str, Any] | None = None, /, **headers: str | None) -> Answer:
        """Send a form with its token and origin. `headers` replaces headers; None leaves one out."""
        body = urlencode({"token": self.form_token} | dict(fields or {}), doseq=True)
        return self.send_form(path, body, **headers)

    def send_form(self, path: str, body: str, **headers: str | None) -> Answer:
        """Send the body of a form as it is."""
        usual = {"cookie": f"{COOKIE}={self.cookie}", "origin": self.origin, "content-type": FORM}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in (usual | named).items() if value is not None}
        return send(self.tenant.stage.port, path, "POST", body, sent)


def a_visitor(tenant: Tenant, *, role: Role = Role.ADMIN) -> Visitor:
    """Sign a browser in."""
    answer = sign_in(tenant.stage, a_sign_in_token(tenant, role=role))
    assert answer.status == 303
    visitor = Visitor(tenant, cookie_of(answer), "")
    page = visitor.visit("/contacts").body.decode()
    found = _FORM_TOKEN.search(page)
    assert found, page
    return Visitor(tenant, visitor.cookie, found[1])


def sign_in(stage: Stage, token: str, *, origin: str | None = None) -> Answer:
    """Send a sign-in token as a form, from the page that asks whether to sign in, or from another origin."""
    headers = {"content-type": FORM, "origin": origin or f"http://127.0.0.1:{stage.port}"}
    return send(stage.port, "/sign-in", "POST", urlencode({"token": token}), headers)


def cookie_of(answer: Answer) -> str:
    """Return the value of the session cookie that an answer sets."""
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    assert name == COOKIE
    return value


def a_sign_in_token(  # noqa: PLR0913 - the claims of a token, all by name
    tenant: Tenant,
    *,
    role: Role = Role.ADMIN,
    secret: str = SECRET,
    now: datetime | None = None,
    lifetime: timedelta = timedelta(minutes=15),
    audience: str = SIGN_IN_AUDIENCE,
) -> str:
    """Return a token that signs the tenant's actor in."""
    return make_token(
        secret,
        organisation_id=tenant.organisation_id,
        actor=tenant.actor,
        role=role,
        now=now or utc_now(),
        lifetime=lifetime,
        audience=audience,
    )
