"""Roles and tenancy of every registered procedure, including new ones."""

from typing import Any

import pytest

from api.procedures.registry import PROCEDURES
from api.trpc import Kind, Procedure, Role
from mailchimp_pipeline_tests.api.procedures.examples import EXAMPLES, NO_ID, OWNED
from mailchimp_pipeline_tests.api.procedures.stage import NO_INPUT, Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send

ALL = list(PROCEDURES)
VIEWER, EDITOR, ADMIN = Role


def named(procedure: Procedure) -> str:
    return procedure.path


def call(tenant: Tenant, procedure: Procedure, value: object = NO_INPUT, *, role: Role = ADMIN) -> Answer:
    path = procedure.path.removeprefix("mailchimp.")
    asked = EXAMPLES[procedure.path] if value is NO_INPUT else value
    ask = tenant.query if procedure.kind is Kind.QUERY else tenant.mutate
    return ask(path, asked, role=role)


def takes_id(procedure: Procedure) -> bool:
    fields: dict[str, Any] = procedure.input_adapter.json_schema() if procedure.input_adapter else {}
    return "id" in fields.get("properties", {})


def test_each_procedure_has_an_example() -> None:
    assert EXAMPLES.keys() == {procedure.path for procedure in ALL}


def test_the_roles_are_those_of_the_contract() -> None:
    admins = {f"mailchimp.{path}" for path in ("connection.connect", "connection.disconnect")}
    admins |= {f"mailchimp.preferences.{name}" for name in ("setConsentRule", "gdprDelete", "export")}
    expected = {Kind.QUERY: VIEWER, Kind.MUTATION: EDITOR}
    for procedure in ALL:
        assert procedure.role is (ADMIN if procedure.path in admins else expected[procedure.kind]), procedure.path


@pytest.mark.parametrize("procedure", ALL, ids=named)
def test_anonymous(stage: Stage, procedure: Procedure) -> None:
    method = "GET" if procedure.kind is Kind.QUERY else "POST"
    headers = {"content-type": "application/json"}
    answer = send(stage.port, f"/api/trpc/{procedure.path}", method, None, headers)
    assert (answer.status, answer.error["data"]["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("procedure", [one for one in ALL if one.role is not VIEWER], ids=named)
def test_too_small_a_role(tenant: Tenant, procedure: Procedure) -> None:
    too_small = VIEWER if procedure.role is EDITOR else EDITOR
    answer = call(tenant, procedure, role=too_small)
    assert (answer.status, answer.error["data"]["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("procedure", ALL, ids=named)
def test_the_role_is_enough(tenant: Tenant, procedure: Procedure) -> None:
    assert procedure.role is not None
    answer = call(tenant, procedure, role=procedure.role)
    assert "result" in answer.json or answer.error["data"]["code"] in {
        "NOT_FOUND",
        "PRECONDITION_FAILED",
        "UNPROCESSABLE_CONTENT",
    }


@pytest.mark.parametrize("procedure", [one for one in ALL if takes_id(one)], ids=named)
def test_the_id_of_another_organisation(connected: Tenant, procedure: Procedure) -> None:
    theirs = OWNED[procedure.path.rpartition(".")[0]](connected)
    intruder = a_tenant(connected.stage)
    before = connected.query("audit.list").data
    answer = call(intruder, procedure, EXAMPLES[procedure.path] | {"id": theirs})
    assert (answer.status, answer.error["data"]["code"]) == (404, "NOT_FOUND")
    assert theirs not in answer.body.decode()
    assert connected.query("audit.list").data == before


@pytest.mark.parametrize("procedure", [one for one in ALL if takes_id(one)], ids=named)
@pytest.mark.parametrize("row_id", ["", "1", "a" * 5000, "' or 1=1 --", NO_ID, "\0", "٣" * 32])
def test_an_id_of_nothing(connected: Tenant, procedure: Procedure, row_id: str) -> None:
    answer = call(connected, procedure, EXAMPLES[procedure.path] | {"id": row_id})
    assert (answer.status, answer.error["data"]["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("procedure", [one for one in ALL if one.path.endswith(".list")], ids=named)
def test_a_list_of_another_organisation(connected: Tenant, procedure: Procedure) -> None:
    for make in OWNED.values():
        make(connected)
    connected.add_employees({})
    call(connected, find("mailchimp.preferences.updateOptStatus"))
    assert call(connected, procedure, {}).data["items"]
    intruder = a_tenant(connected.stage)
    assert call(intruder, procedure, {}).data == {"items": [], "nextCursor": None}


def test_preferences_of_another_organisation_are_not_found(connected: Tenant) -> None:
    connected.add_employees({})
    assert call(connected, find("mailchimp.preferences.updateOptStatus")).status == 200
    intruder = a_tenant(connected.stage)
    assert call(intruder, find("mailchimp.preferences.getForEntity")).data is None


def find(path: str) -> Procedure:
    found = PROCEDURES.get(path)
    assert found is not None
    return found
