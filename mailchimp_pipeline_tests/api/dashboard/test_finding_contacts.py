"""The form on the page of contacts: it finds a contact by its id, or contacts by their address."""

import re

import pytest

from api.trpc import Role
from mailchimp_pipeline_tests.api.dashboard.visitor import Visitor, a_visitor
from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.api.served import logged_lines
from mailchimp_pipeline_tests.waiting import eventually

ADDRESS = "ann.lee@acme.test"
NOT_FOUND = "No contact with this address was synced yet. Look the contact up by its id in the source."


@pytest.fixture
def employer(connected: Tenant) -> Tenant:
    """Return a connected organisation with a segment, so that its audience is known."""
    assert connected.create().status == 200
    return connected


def search(visitor: Visitor, wanted: str, **more: str) -> tuple[int, str]:
    answer = visitor.submit("/contacts/find", {"wanted": wanted, "entityType": "employee"} | more)
    return answer.status, answer.body.decode()


def heading(page: str) -> str:
    found = re.search(r"<h1>(.*?)</h1>", page)
    assert found
    return found[1]


def shown_ids(page: str) -> list[str]:
    """Return the ids that the page's buttons "Show" send."""
    return re.findall(r'name="entityId" value="([^"]*)"><button aria-label="Show', page)


def test_an_editor_is_asked_for_an_id_or_an_address_and_a_viewer_for_an_id(employer: Tenant) -> None:
    for role, label in ((Role.EDITOR, "Id or address"), (Role.VIEWER, "Id in the source")):
        page = a_visitor(employer, role=role).visit("/contacts").body.decode()
        assert f'<label for="wanted">{label}</label>' in page


def test_a_text_without_a_sign_is_an_id(employer: Tenant) -> None:
    assert heading(search(a_visitor(employer), "4711")[1]) == "Employee 4711"
    assert "contact.searched" not in employer.audit_actions()


@pytest.mark.parametrize("role", [Role.EDITOR, Role.ADMIN])
def test_the_only_contact_with_an_address_is_shown_at_once(employer: Tenant, role: Role) -> None:
    employer.add_member(ADDRESS, "7")
    status, page = search(a_visitor(employer, role=role), f" {ADDRESS.upper()}", entityType="vendor")
    assert (status, heading(page)) == (200, "Employee 7")


def test_several_contacts_with_an_address_are_listed_with_buttons(employer: Tenant) -> None:
    employer.add_member(ADDRESS, "8")
    employer.add_member(ADDRESS, "7")
    visitor = a_visitor(employer)
    status, page = search(visitor, ADDRESS)
    assert (status, heading(page), shown_ids(page)) == (200, "Contacts", ["7", "8"])
    assert [href for href in re.findall(r'href="([^"]*)"', page) if "7" in href or "@" in href] == []
    shown = visitor.submit("/contacts/find", {"entityType": "employee", "entityId": "8"}).body.decode()
    assert heading(shown) == "Employee 8"


def test_an_address_that_nobody_has_says_what_to_do(employer: Tenant) -> None:
    status, page = search(a_visitor(employer), ADDRESS)
    assert (status, NOT_FOUND in page) == (200, True)
    assert f'value="{ADDRESS}"' in page


def test_an_id_with_a_sign_that_is_not_found_as_an_address_can_be_used_as_the_id(employer: Tenant) -> None:
    visitor = a_visitor(employer)
    for wanted in (ADDRESS, "desk@berlin"):
        _, page = search(visitor, wanted)
        sent = re.search(r'name="entityId" value="([^"]*)"><button>This text is the id', page)
        assert sent
        assert sent[1] == wanted
        found = visitor.submit("/contacts/find", {"entityType": "employee", "entityId": sent[1]}).body.decode()
        assert heading(found) == f"Employee {wanted}"


def test_an_invalid_address_is_refused_beside_the_field(employer: Tenant) -> None:
    status, page = search(a_visitor(employer), "ann@acme")
    assert (status, 'id="errors-address"' in page, NOT_FOUND in page) == (400, True, False)
    assert 'aria-invalid="true" aria-describedby="errors-address"' in page


def test_a_blank_text_is_refused_beside_the_field(employer: Tenant) -> None:
    status, page = search(a_visitor(employer), " ")
    assert (status, 'id="errors-entityId"' in page) == (400, True)
    assert 'aria-invalid="true" aria-describedby="errors-entityId"' in page


def test_a_viewer_finds_contacts_by_their_ids_only(employer: Tenant) -> None:
    employer.add_member(ADDRESS, "7")
    status, page = search(a_visitor(employer, role=Role.VIEWER), ADDRESS)
    assert (status, heading(page)) == (200, f"Employee {ADDRESS}")
    assert "contact.searched" not in employer.audit_actions()


def test_a_search_is_logged_without_what_was_searched_for(employer: Tenant) -> None:
    employer.add_member(ADDRESS, "7")
    visitor = a_visitor(employer)
    with logged_lines() as log:
        for wanted in (ADDRESS, f"{ADDRESS}x", f"{ADDRESS}@"):
            search(visitor, wanted)
        eventually(lambda: log.getvalue().count("findByAddress") == 3)
        assert "ann.lee" not in log.getvalue()
