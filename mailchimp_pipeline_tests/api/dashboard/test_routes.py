"""Every route: who may use it, what its answer's headers say, and what its log lines do not."""

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import NoReturn
from urllib.parse import quote
from uuid import uuid4

import pytest
from starlette.routing import Route

from api.auth import Authenticator, SharedSecret
from api.dashboard import dashboard_routes
from api.procedures.context import Context
from api.procedures.registry import PROCEDURES
from api.trpc import Role, TrpcServer
from mailchimp_pipeline_tests.api.dashboard.visitor import Visitor, a_sign_in_token, a_visitor, sign_in
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.api.served import SECRET, logged_lines
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send
from mailchimp_pipeline_tests.database.builders import KEYRING
from mailchimp_pipeline_tests.waiting import eventually


def _nobody(_caller: object) -> NoReturn:
    raise AssertionError("no route is called")


def _routes() -> list[tuple[str, str]]:
    server = TrpcServer[Context](PROCEDURES, _nobody)
    made = dashboard_routes(server, Authenticator(SharedSecret(SECRET), KEYRING), KEYRING, _nobody)
    routes = [route for route in made if isinstance(route, Route)]
    return [(method, route.path) for route in routes for method in route.methods or () if method != "HEAD"]


ROUTES = [route for route in _routes() if route[1] not in {"/sign-in", "/sign-out"}]
PAGES = [path for method, path in ROUTES if method == "GET"]
FORMS = [path for method, path in ROUTES if method == "POST"]

EDITING = {"/segments/new", "/segments/{id}/edit"}
"""The pages that only have a form, which a viewer may not send."""

READING = {"/contacts/find", "/segments/{id}/preview"}
"""The forms that change nothing."""

PERSON = "ada-lovelace-1815"


@pytest.fixture
def filled(connected: Tenant) -> Mapping[str, str]:
    """Return the ids in the paths of a tenant that has a segment and a campaign, by the first part of the path."""
    campaign = connected.stage.sandbox.add_campaign(connected.list_id)
    tracked = connected.mutate("campaigns.trackCampaign", {"mailchimpCampaignId": campaign}).data["id"]
    return {"segments": connected.create().data["id"], "campaigns": tracked}


def placed(path: str, ids: Mapping[str, str]) -> str:
    return path.replace("{id}", ids.get(path.split("/")[1], ""))


def fields_of(tenant: Tenant) -> dict[str, str]:
    """Return valid fields for any form."""
    segment = {"name": "New", "segmentType": "mixed", "mailchimpListId": tenant.list_id, "onLeave": "keep"}
    contact = {"entityId": PERSON, "entityType": "employee", "confirmation": PERSON}
    more = {"apiKey": tenant.api_key, "mailchimpCampaignId": "1", "optedIn": "true", "consentSource": "phone"}
    return segment | contact | more | {"optInOnly": "true"}


def test_there_are_pages_and_forms() -> None:
    assert len(PAGES) > 10
    assert len(FORMS) > 10


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_asks_whoever_is_not_signed_in_to_sign_in(stage: Stage, method: str, path: str) -> None:
    answer = send(stage.port, placed(path, {"segments": str(uuid4()), "campaigns": str(uuid4())}), method, None, {})
    assert (answer.status, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert '<form method="post" action="/sign-in"' in answer.body.decode()


@pytest.mark.parametrize("path", [path for path in FORMS if path not in READING])
def test_a_viewer_changes_nothing(connected: Tenant, filled: Mapping[str, str], path: str) -> None:
    viewer = a_visitor(connected, role=Role.VIEWER)
    before = connected.audit_actions()
    answer = viewer.submit(placed(path, filled), fields_of(connected))
    assert (answer.status, "ask an administrator of your organisation" in answer.body.decode()) == (403, True)
    assert connected.audit_actions() == before


@pytest.mark.parametrize("path", [path for path in PAGES if path not in EDITING])
def test_a_viewer_reads_every_page_without_a_button_that_is_refused(
    connected: Tenant, filled: Mapping[str, str], path: str
) -> None:
    answer = a_visitor(connected, role=Role.VIEWER).visit(placed(path, filled))
    assert answer.status == 200
    if path != "/settings":
        actions = set(re.findall(r'<form method="post" action="([^"]+)"', answer.body.decode()))
        assert actions <= {placed(each, filled) for each in READING}


@pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{id}" in route[1]])
@pytest.mark.parametrize("owner", ["another organisation", "nobody"])
def test_what_another_organisation_has_is_not_there(
    connected: Tenant, filled: Mapping[str, str], method: str, path: str, owner: str
) -> None:
    other = a_visitor(a_tenant(connected.stage, connected=True))
    target = placed(path, filled if owner == "another organisation" else dict.fromkeys(filled, "no-id"))
    answer = other.visit(target) if method == "GET" else other.submit(target, fields_of(other.tenant))
    assert (answer.status, "Everybody" in answer.body.decode()) == (404, False)
    assert_says_why(answer)


@pytest.mark.parametrize(
    "target",
    [
        "/segments?cursor=x",
        "/segments?status=odd",
        "/campaigns?cursor=x",
        "/contacts?cursor=x",
        "/audit?cursor=x",
    ],
)
def test_a_page_that_cannot_be_shown_says_why(tenant: Tenant, target: str) -> None:
    answer = a_visitor(tenant).visit(target)
    assert answer.status == 400
    assert_says_why(answer)


def assert_says_why(answer: Answer) -> None:
    assert re.search(r'class="(notice bad|error)"[^>]*>[^<]+<', answer.body.decode()), answer.body.decode()


class Active(HTMLParser):
    """Collects what a strict Content-Security-Policy forbids, and links to elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        inline = tag in {"style", "iframe", "object", "embed", "base"} or (tag == "script" and not given.get("src"))
        events = [name for name in given if name == "style" or name.startswith("on")]
        targets = [given.get(name) or "" for name in ("href", "src", "action", "formaction")]
        elsewhere = [target for target in targets if target and not re.match(r"/(?!/)|#", target)]
        self.found += [tag] * inline + events + elsewhere


def inline_of(answer: Answer) -> list[str]:
    active = Active()
    active.feed(answer.body.decode())
    return active.found


@pytest.mark.parametrize("path", [path for path in PAGES if not path.endswith(".csv")])
def test_no_page_runs_anything_inline_or_leads_elsewhere(
    connected: Tenant, filled: Mapping[str, str], path: str
) -> None:
    answer = a_visitor(connected).visit(placed(path, filled))
    assert_is_guarded(answer)
    assert inline_of(answer) == []


def test_nor_do_the_sign_in_pages_and_those_of_errors(tenant: Tenant) -> None:
    port, visitor = tenant.stage.port, a_visitor(tenant)
    for answer in (
        send(port, "/sign-in", "GET", None, {}),
        send(port, "/segments", "GET", None, {}),
        sign_in(tenant.stage, a_sign_in_token(tenant)),
        sign_in(tenant.stage, "no token"),
        visitor.visit("/segments/no-id"),
        visitor.submit("/contacts/find", {"entityId": "1"}),
        visitor.submit("/contacts/find", {"token": ""}),
    ):
        assert_is_guarded(answer)
        assert inline_of(answer) == []


@pytest.mark.parametrize("target", ["/segments/{id}/rejected.csv", "/contacts/export", "/sign-out", "/settings"])
def test_answers_that_are_no_pages_are_kept_by_no_cache(
    connected: Tenant, filled: Mapping[str, str], target: str
) -> None:
    connected.add_employees({})
    visitor, fields = a_visitor(connected), {"entityId": "1", "download": "1", "optInOnly": "true"}
    path = placed(target, filled)
    answer = visitor.visit(path) if target in PAGES and target not in FORMS else visitor.submit(path, fields)
    assert answer.status in {200, 303}
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def assert_is_guarded(answer: Answer) -> None:
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert answer.headers["referrer-policy"] == "strict-origin"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", [*PAGES, "/sign-in", "/static/page.js"])
def test_a_head_request_has_the_headers_of_the_page_and_no_body(
    connected: Tenant, filled: Mapping[str, str], path: str
) -> None:
    visitor, target = a_visitor(connected), placed(path, filled)
    page, head = visitor.visit(target), visitor.visit(target, method="HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == page.headers["content-type"]


@pytest.mark.parametrize(
    "target",
    [
        "/static/",
        "/static/../routes.py",
        "/static/..%2froutes.py",
        "/static/%2e%2e/routes.py",
        "/static/..%5croutes.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/../../../../../../etc/passwd",
        "/static/page.js%00",
        "/static/" + "a" * 300,
        "/static/page.js/more",
        "/staticpage.js",
        "//static/../../auth.py",
    ],
)
def test_only_static_files_are_static(stage: Stage, target: str) -> None:
    assert send(stage.port, target, "GET", None, {}).status == 404


def test_static_files_need_no_session_and_have_their_types(stage: Stage) -> None:
    kinds = {
        name: send(stage.port, f"/static/{name}", "GET", None, {}).headers["content-type"].partition(";")[0]
        for name in ("page.js", "style.css", "icon.svg")
    }
    assert kinds == {"page.js": "text/javascript", "style.css": "text/css", "icon.svg": "image/svg+xml"}


@pytest.mark.parametrize("done", ["odd", "<script>", "__class__", "connected\r\nx: y"])
def test_an_unknown_result_shows_nothing(tenant: Tenant, done: str) -> None:
    page = a_visitor(tenant).visit(f"/?done={quote(done)}")
    assert page.status == 200
    assert '<div role="status" id="notice"></div>' in page.body.decode()
    assert "<script>" not in page.body.decode()


def test_a_known_result_is_shown(tenant: Tenant) -> None:
    assert "Mailchimp is disconnected." in a_visitor(tenant).visit("/?done=disconnected").body.decode()


HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>"


def test_texts_of_others_are_text(connected: Tenant) -> None:
    made = connected.create(name=HOSTILE, description=HOSTILE, filterCriteria={"department": [HOSTILE]}).data
    visitor = a_visitor(connected)
    out = {"entityId": HOSTILE, "entityType": "employee", "optedIn": "false", "consentSource": HOSTILE}
    visitor.submit("/contacts/opt-status", out)
    answers = [
        *(visitor.visit(path) for path in ("/", "/segments", "/contacts", "/audit")),
        *(visitor.visit(f"/segments/{made['id']}{more}") for more in ("", "/edit")),
        visitor.visit("/audit?entityType=%22onload%3d1&entityId=%22%3e%3cscript%3e"),
        visitor.submit("/contacts/find", out),
        visitor.submit("/contacts/export", out),
        visitor.submit("/campaigns", {"mailchimpCampaignId": HOSTILE}),
        visitor.submit("/segments/new", {"name": HOSTILE, "preview": "1", "segmentType": HOSTILE}),
    ]
    assert [inline_of(answer) for answer in answers] == [[]] * len(answers)
    assert sum(b"&lt;script&gt;" in answer.body for answer in answers) > 5


def test_an_id_that_is_written_in_another_way_breaks_no_header(connected: Tenant) -> None:
    made: str = connected.create().data["id"]
    # Python reads any digits of Unicode as a number.
    odd = quote(made.replace(made[14], chr(0x0660 + int(made[14]))))
    visitor = a_visitor(connected)
    assert visitor.visit(f"/segments/{odd}/rejected.csv").status == 200
    assert visitor.submit(f"/segments/{odd}/sync").headers["location"] == f"/segments/{odd}"


def test_a_log_line_names_the_route_and_the_procedures_and_nothing_personal(
    connected: Tenant, filled: Mapping[str, str]
) -> None:
    token, person = a_sign_in_token(connected), f"{PERSON}@acme.test"
    with logged_lines() as log:
        send(connected.stage.port, f"/sign-in?token={token}", "GET", None, {})
        visitor = a_visitor(connected)
        contact = fields_of(connected) | {"entityId": person, "confirmation": person}
        for path in ("find", "opt-status", "export", "erase"):
            visitor.submit(f"/contacts/{path}", contact)
        visitor.visit(f"/audit?entityType=employee&entityId={person}")
        visitor.visit(f"/static/{person}")
        visitor.visit(f"/segments/{person}?cursor={person}")
        visitor.submit(f"/segments/{filled['segments']}/edit", {"name": person})
        eventually(lambda: "mailchimp.segments.update" in log.getvalue())
        lines = log.getvalue()
    secrets = (PERSON, token, visitor.cookie, visitor.form_token, "entityId", "cursor=")
    assert [secret for secret in secrets if secret in lines] == []


def test_a_line_of_a_page_has_its_organisation_its_role_and_its_calls(tenant: Tenant) -> None:
    visitor: Visitor = a_visitor(tenant, role=Role.VIEWER)
    with logged_lines() as log:
        visitor.visit("/audit")
        line = json.loads(eventually(log.getvalue).splitlines()[0])
    assert (line["organisation_id"], line["role"], line["status"]) == (tenant.organisation_id, "viewer", 200)
    assert [(call["procedure"], call["code"]) for call in line["calls"]] == [("mailchimp.audit.list", "OK")]


def test_a_browser_gets_a_page_for_an_unknown_path(stage: Stage) -> None:
    answer = send(stage.port, "/nope", "GET", None, {"accept": "text/html,*/*"})
    assert (answer.status, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no such page" in answer.body.decode()
    assert send(stage.port, "/nope", "GET", None, {}).headers["content-type"] == "application/json"
