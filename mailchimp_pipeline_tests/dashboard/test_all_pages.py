"""What holds for every page: accessible, not too wide, without errors, nothing personal in URLs, no injected code."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from playwright.sync_api import expect

from mailchimp_pipeline_tests.api.node_tools import installed
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant
from mailchimp_pipeline_tests.dashboard.conftest import Visits
from mailchimp_pipeline_tests.dashboard.furnished import LISTS, Texts, furnish, walk, walk_without_anything
from mailchimp_pipeline_tests.dashboard.visitor import Visitor

NARROW, WIDE = 360, 1280
SCRIPT = "<script>window.hacked=1</script>"
RIGHT_TO_LEFT = "\u202egpj.\u200f"

HOSTILE = Texts(
    name=f"{SCRIPT}{RIGHT_TO_LEFT}{'W' * 150}",
    description=f"<img src=x onerror=window.hacked=1>{'x' * 1950}",
    contact=f"'\"><svg onload=window.hacked=1>{'7' * 150}",
    department=f"</textarea>{SCRIPT}{'D' * 150}",
    account=f"{SCRIPT}{RIGHT_TO_LEFT}{'A' * 150}",
    audience=f"</option></select>{SCRIPT}{'L' * 150}",
    title=f"</text></svg>{SCRIPT}{RIGHT_TO_LEFT}{'T' * 150}",
    subject_line=f'"><a href="javascript:window.hacked=1">{"S" * 150}</a>',
    source=f"{SCRIPT}{RIGHT_TO_LEFT}{'P' * 50}",
    actor=f"<b onclick=window.hacked=1>{'B' * 100}</b>",
)


def is_too_wide(visitor: Visitor) -> list[str]:
    """Return the widths at which the page does not fit."""
    found: list[str] = []
    for width in (NARROW, WIDE):
        visitor.page.set_viewport_size({"width": width, "height": 800})
        visitor.unfold()
        if (pixels := visitor.overflow()) > 0:
            found.append(f"is {pixels} pixels wider than {width}")
    return found


def violations(visitor: Visitor, axe: str) -> list[str]:
    """Return what axe finds on the page. In dark, only the colours differ."""
    visitor.page.evaluate(axe)
    visitor.page.emulate_media(color_scheme="light")
    found = _run_axe(visitor, {})
    visitor.page.emulate_media(color_scheme="dark")
    return found + _run_axe(visitor, {"runOnly": ["color-contrast"]})


def _run_axe(visitor: Visitor, options: Mapping[str, object]) -> list[str]:
    run = "async (options) => (await axe.run({ resultTypes: ['violations'], ...options })).violations"
    found: Sequence[dict[str, Any]] = visitor.page.evaluate(run, options)
    return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in found]


def problems(pages: Iterable[str], look: Callable[[], list[str]]) -> list[str]:
    """Return what is wrong with each page."""
    found = {page: look() for page in pages}
    assert len(found) >= len(LISTS)
    return [f"{page} {problem}" for page, each in found.items() for problem in each]


@pytest.fixture
def axe() -> str:
    """Return the script of axe. The browser's policy for scripts does not apply to what a test evaluates."""
    return (installed() / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def test_every_page_is_accessible_in_light_and_dark_and_fits(stage: Stage, visit: Visits, axe: str) -> None:
    organisation = furnish(stage, Texts())
    visitor = visit(organisation.tenant)
    found = problems(walk(visitor, organisation), lambda: is_too_wide(visitor) + violations(visitor, axe))
    assert found == []


def test_every_page_of_a_new_organisation_is_accessible_and_fits(tenant: Tenant, visit: Visits, axe: str) -> None:
    visitor = visit(tenant)
    found = problems(walk_without_anything(visitor), lambda: is_too_wide(visitor) + violations(visitor, axe))
    assert found == []


def test_foreign_texts_run_nothing_fit_and_are_in_no_url(stage: Stage, visit: Visits) -> None:
    organisation = furnish(stage, HOSTILE)
    visitor = visit(organisation.tenant)
    found = problems(walk(visitor, organisation), lambda: is_too_wide(visitor) + injected(visitor))
    assert found == []
    assert [url for url in visitor.urls if "777" in url or "@" in url or "%40" in url] == []
    visitor.open(f"/segments/{organisation.synced}")
    expect(visitor.page.get_by_role("heading", level=1)).to_have_text(HOSTILE.name)


def injected(visitor: Visitor) -> list[str]:
    """Return what became of texts that look like code."""
    ran = visitor.page.evaluate("'hacked' in window")
    elements = visitor.page.locator("main script, main img, main b, main [onload], main a[href^=javascript]").count()
    return ["code ran"] * bool(ran) + ["a text became an element"] * bool(elements)


def test_a_description_that_is_too_long_is_refused_and_stays(connected: Tenant, visit: Visits) -> None:
    visitor = visit(connected)
    visitor.open("/segments/new")
    visitor.field("Name").fill("Sales")
    visitor.page.get_by_label("Mailchimp audience").select_option(label="Staff")
    description = visitor.page.get_by_label("Description")
    description.evaluate("field => { field.maxLength = 9999 }")
    description.fill("x" * 5000)
    visitor.click("Create")
    expect(description).to_have_attribute("aria-invalid", "true")
    expect(description).to_have_value("x" * 5000)
    assert connected.query("segments.list").data["items"] == []
