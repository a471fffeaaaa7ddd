"""The page of the audit log: filtered by an actor, in pages."""

import re
from dataclasses import replace
from html import unescape

import pytest

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline_tests.api.dashboard.visitor import a_visitor
from mailchimp_pipeline_tests.api.procedures.stage import Tenant

ODD = "bob & <i>/?#é"


def page_of(tenant: Tenant, target: str) -> str:
    answer = a_visitor(tenant).visit(target)
    assert answer.status == 200
    return answer.body.decode()


def actor_links(page: str) -> list[str]:
    """Return the targets of the table's links to the entries of one actor, each once."""
    return sorted({unescape(href) for href in re.findall(r'href="(/audit\?actor=[^"]*)"', page)})


def rows(page: str) -> int:
    return page.partition("<tbody>")[2].count("<tr>")


def write(tenant: Tenant, actor: str, *, times: int = 1) -> None:
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        for _ in range(times):
            entity = audit_log.Entity("segment", "1")
            audit_log.write(session, audit_log.Entry(actor, "segment.updated", entity, utc_now()))


def test_each_actor_is_a_link_to_its_entries(connected: Tenant) -> None:
    assert replace(connected, actor=ODD).create().status == 200
    links = actor_links(page_of(connected, "/audit"))
    assert len(links) == 2
    (odd,) = (link for link in links if "bob" in link)
    page = page_of(connected, odd)
    assert (actor_links(page), rows(page)) == ([odd], 1)
    assert 'value="bob &amp; &lt;i&gt;/?#é"' in page


def test_the_next_page_keeps_the_actor(tenant: Tenant) -> None:
    write(tenant, ODD, times=51)
    write(tenant, "carol", times=2)
    first = page_of(tenant, "/audit?actor=bob+%26+%3Ci%3E%2F%3F%23%C3%A9")
    following = re.search(r'rel="next" href="([^"]*)"', first)
    assert following
    second = page_of(tenant, unescape(following[1]))
    assert (rows(first), rows(second)) == (50, 1)
    assert "carol" not in first + second


def test_the_form_keeps_the_entity(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    replace(connected, actor="bob").mutate("segments.delete", {"id": segment_id})
    page = page_of(connected, f"/audit?entityType=segment&entityId={segment_id}")
    assert rows(page) == 2
    assert f'<input type="hidden" name="entityId" value="{segment_id}">' in page
    assert rows(page_of(connected, f"/audit?entityType=segment&entityId={segment_id}&actor=bob")) == 1


@pytest.mark.parametrize("actor", ["", "+"])
def test_a_blank_actor_shows_all_entries(connected: Tenant, actor: str) -> None:
    page = page_of(connected, f"/audit?actor={actor}")
    assert (rows(page), "Show all entries" in page) == (1, False)


def test_an_actor_without_entries_has_none(connected: Tenant) -> None:
    assert "No entry is recorded for this choice." in page_of(connected, "/audit?actor=nobody")


def test_no_link_has_an_address_that_an_earlier_version_wrote(tenant: Tenant) -> None:
    write(tenant, "ann@acme.test")
    page = page_of(tenant, "/audit")
    assert (actor_links(page), "ann@acme.test" in page) == ([], True)


def test_an_address_as_the_actor_says_how_the_log_names_it(tenant: Tenant) -> None:
    answer = a_visitor(tenant).visit("/audit?actor=ann@acme.test")
    page = answer.body.decode()
    assert (answer.status, "mailchimp-pipeline actor" in page, "ann@acme.test" in page) == (400, True, False)
