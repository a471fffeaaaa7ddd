"""Forms: which are refused before anything is called, and what the accepted ones do."""

import csv
import io
import json
import socket

import pytest

from api.dashboard.sessions import COOKIE
from api.trpc import Role
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline_tests.api.dashboard.visitor import FORM, a_visitor, sign_in
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.api.served import logged_lines
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send
from mailchimp_pipeline_tests.waiting import eventually

TOO_LONG = 200_001


def is_connected(tenant: Tenant) -> bool:
    return tenant.query("connection.get").data is not None


def a_segment_of_rejected(tenant: Tenant, *entity_ids: str) -> str:
    """Return the id of a segment whose contacts have these ids, and are all rejected by Mailchimp."""
    people = [{"id": each, "email": f"fake{number}@example.com"} for number, each in enumerate(entity_ids)]
    tenant.add_employees(*people)
    segment_id: str = tenant.create().data["id"]
    list(Pipeline(tenant.stage.parts).sync([f"{tenant.organisation_id}/{segment_id}"], run_id="run", push=True))
    return segment_id


def alert_of(answer: Answer) -> str:
    return answer.body.decode().partition('id="alert">')[2].partition("</div>")[0]


@pytest.mark.parametrize("origin", [None, "null", "", "https://evil.test", "http://127.0.0.1", "http://127.0.0.1:1"])
def test_a_form_of_another_origin_is_refused(connected: Tenant, origin: str | None) -> None:
    answer = a_visitor(connected).submit("/connection/disconnect", origin=origin)
    assert (answer.status, "not from this page" in alert_of(answer)) == (403, True)
    assert is_connected(connected)


@pytest.mark.parametrize("token", ["", "0" * 64, "\N{EURO SIGN}"])
def test_a_form_without_its_token_is_refused(connected: Tenant, token: str) -> None:
    answer = a_visitor(connected).submit("/connection/disconnect", {"token": token})
    assert (answer.status, "not from this page" in alert_of(answer)) == (403, True)
    assert is_connected(connected)


def test_the_token_of_another_callers_form_is_refused(connected: Tenant) -> None:
    mine = a_visitor(connected)
    others = [a_tenant(connected.stage), Tenant(connected.stage, connected.organisation_id, "", "", "", actor="bob")]
    for other in map(a_visitor, others):
        assert other.form_token != mine.form_token
        assert mine.submit("/connection/disconnect", {"token": other.form_token}).status == 403
    assert is_connected(connected)


def test_a_form_with_its_token_and_origin_is_carried_out(connected: Tenant) -> None:
    answer = a_visitor(connected).submit("/connection/disconnect")
    assert (answer.status, answer.headers["location"]) == (303, "/connection?done=disconnected")
    assert not is_connected(connected)


@pytest.mark.parametrize(
    "kind", [None, "application/json", "text/plain", "multipart/form-data; boundary=x", f"x-{FORM}"]
)
def test_a_body_of_another_type_is_no_form(connected: Tenant, kind: str | None) -> None:
    answer = a_visitor(connected).submit("/connection/disconnect", content_type=kind)
    assert (answer.status, "not a form" in alert_of(answer)) == (415, True)
    assert is_connected(connected)


def test_a_type_may_name_its_encoding(connected: Tenant) -> None:
    kind = "application/x-www-form-urlencoded; charset=UTF-8"
    assert a_visitor(connected).submit("/connection/disconnect", content_type=kind).status == 303


def test_a_form_that_is_too_large_is_refused(connected: Tenant) -> None:
    visitor = a_visitor(connected)
    answer = visitor.submit("/connection/disconnect", {"more": "a" * TOO_LONG})
    assert (answer.status, "too large" in alert_of(answer)) == (413, True)
    assert is_connected(connected)


def test_a_form_of_too_many_fields_is_refused(connected: Tenant) -> None:
    visitor = a_visitor(connected)
    body = f"token={visitor.form_token}" + "&a=1" * 10_000
    answer = visitor.send_form("/connection/disconnect", body)
    assert (answer.status, "too many fields" in alert_of(answer)) == (413, True)
    assert is_connected(connected)


def test_sign_in_has_the_same_limits_without_a_session(stage: Stage) -> None:
    for body, kind, status in (
        ("a=" * TOO_LONG, FORM, 413),
        ("a&" * 10_000, FORM, 413),
        ("{}", "application/json", 415),
    ):
        answer = send(stage.port, "/sign-in", "POST", body, {"content-type": kind})
        assert (answer.status, 'role="alert"' in answer.body.decode()) == (status, True)
    assert sign_in(stage, "").status == 401


@pytest.mark.parametrize("body", ["%", "%ff", "\N{PILE OF POO}", "&&&", "=", "a;b", "\0"])
def test_a_body_that_is_hardly_a_form_is_refused_as_one_without_a_token(connected: Tenant, body: str) -> None:
    answer = a_visitor(connected).send_form("/connection/disconnect", body.encode().decode("latin-1"))
    assert answer.status == 403


def test_a_segment_is_created_changed_synced_and_deleted(connected: Tenant) -> None:
    visitor = a_visitor(connected, role=Role.EDITOR)
    fields = {"name": "Sales", "segmentType": "mixed", "mailchimpListId": connected.list_id, "onLeave": "keep"}
    made = visitor.submit("/segments/new", fields | {"department": "Sales\r\n\r\n Legal "})
    path = made.headers["location"].removesuffix("?done=segment_created")
    assert (made.status, visitor.visit(path).status) == (303, 200)

    assert visitor.submit(f"{path}/edit", fields | {"name": "Sellers", "onLeave": "archive"}).status == 303
    (segment,) = connected.query("segments.list").data["items"]
    assert (segment["name"], segment["onLeave"], segment["filterCriteria"]["department"]) == ("Sellers", "archive", [])

    assert visitor.submit(f"{path}/sync").headers["location"] == path
    assert connected.query("segments.get", {"id": segment["id"]}).data["syncRequestedAt"] is not None
    assert visitor.submit(f"{path}/delete").headers["location"] == "/segments?done=segment_deleted"
    assert connected.query("segments.list").data["items"] == []


def test_a_preview_counts_and_creates_nothing(connected: Tenant) -> None:
    connected.add_employees({}, {"department": "Legal"})
    fields = {"name": "", "segmentType": "employee", "department": "sales", "preview": "1"}
    page = a_visitor(connected, role=Role.VIEWER).submit("/segments/new", fields)
    assert (page.status, '<data value="1">1</data></strong>' in page.body.decode()) == (200, True)
    assert connected.query("segments.list").data["items"] == []


def test_a_wrong_field_is_named_beside_it_and_what_was_typed_stays(connected: Tenant) -> None:
    answer = a_visitor(connected).submit("/segments/new", {"name": " ", "description": "All <of> us"})
    page = answer.body.decode()
    assert answer.status == 400
    assert 'id="errors-name"' in page
    assert 'id="errors-mailchimpListId"' in page
    assert "All &lt;of&gt; us</textarea>" in page


@pytest.mark.parametrize("value", ["\n", "true\n", "1", ""])
def test_only_a_clear_choice_changes_the_consent_rule(connected: Tenant, value: str) -> None:
    visitor = a_visitor(connected)
    assert visitor.submit("/settings", {"optInOnly": "true"}).status == 303
    answer = visitor.submit("/settings", {"optInOnly": value})
    assert (answer.status, 'id="errors-optInOnly"' in answer.body.decode()) == (400, True)
    assert connected.query("preferences.getConsentRule").data["optInOnly"] is True


@pytest.mark.parametrize("given", [{}, {"optedIn": ""}, {"optedIn": "yes"}])
def test_a_preference_without_a_clear_answer_is_not_recorded(connected: Tenant, given: dict[str, str]) -> None:
    fields = {"entityId": "1", "entityType": "employee", "consentSource": "phone"}
    answer = a_visitor(connected).submit("/contacts/opt-status", fields | given)
    assert (answer.status, 'id="errors-optedIn"' in answer.body.decode()) == (400, True)
    assert connected.query("preferences.getForEntity", {"entityId": "1", "entityType": "employee"}).data is None


@pytest.mark.parametrize("confirmation", ["", "2", "1 1"])
def test_an_erasure_needs_the_id_typed_again(connected: Tenant, confirmation: str) -> None:
    connected.add_employees({})
    fields = {"entityId": "1", "entityType": "employee", "confirmation": confirmation}
    answer = a_visitor(connected).submit("/contacts/erase", fields)
    assert (answer.status, 'id="errors-confirmation"' in answer.body.decode()) == (400, True)
    assert "contact.erased" not in " ".join(connected.audit_actions())
    assert a_visitor(connected).submit("/contacts/erase", fields | {"confirmation": "1"}).status == 200


def test_a_contact_is_downloaded_as_json_and_by_administrators_only(connected: Tenant) -> None:
    connected.add_employees({})
    fields = {"entityId": "1", "entityType": "employee", "download": "1"}
    answer = a_visitor(connected).submit("/contacts/export", fields)
    assert answer.headers["content-disposition"] == 'attachment; filename="contact.json"'
    assert "statements" in json.loads(answer.body)
    assert a_visitor(connected, role=Role.EDITOR).submit("/contacts/export", fields).status == 403


def test_no_cell_of_a_csv_file_is_a_formula(connected: Tenant) -> None:
    ids = ["=1+1", "+1", "-1", "@a", "plain", 'a"b,c']
    segment_id = a_segment_of_rejected(connected, *ids)
    answer = a_visitor(connected, role=Role.VIEWER).visit(f"/segments/{segment_id}/rejected.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="rejected-contacts.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert sorted(row["entityId"] for row in rows) == sorted(
        each if each in {"plain", 'a"b,c'} else f"'{each}" for each in ids
    )


def test_a_csv_file_has_the_rejected_contacts_of_all_pages(connected: Tenant) -> None:
    segment_id = a_segment_of_rejected(connected, *map(str, range(250)))
    answer = a_visitor(connected).visit(f"/segments/{segment_id}/rejected.csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode(), newline="")))
    assert len({row["entityId"] for row in rows}) == len(rows) == 250


def test_a_browser_that_leaves_before_its_form_is_complete_is_no_failure(connected: Tenant) -> None:
    visitor = a_visitor(connected)
    head = [
        "POST /connection/disconnect HTTP/1.1",
        "host: localhost",
        f"content-type: {FORM}",
        f"cookie: {COOKIE}={visitor.cookie}",
        "content-length: 500",
    ]
    with logged_lines() as log:
        with socket.create_connection(("127.0.0.1", connected.stage.port)) as client:
            client.sendall("\r\n".join([*head, "", "token="]).encode())
        eventually(log.getvalue)
    assert [json.loads(line)["level"] for line in log.getvalue().splitlines()] == ["info"]
    assert is_connected(connected)
