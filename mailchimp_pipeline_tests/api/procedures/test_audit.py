"""`mailchimp.audit` over HTTP and the database."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from api.procedures.registry import PROCEDURES
from api.trpc import Kind, Procedure
from mailchimp_pipeline.database.tables import PseudonymKeyRow
from mailchimp_pipeline_tests.api.procedures.examples import an_input
from mailchimp_pipeline_tests.api.procedures.stage import Tenant, a_tenant
from mailchimp_pipeline_tests.isolation.tenants import TABLES

MUTATIONS = [one for one in PROCEDURES if one.kind is Kind.MUTATION]
# The first use of an organisation's key for pseudonyms creates it.
WRITTEN = [str(table.name) for table in TABLES if table.name not in {"audit_log", PseudonymKeyRow.__tablename__}]


def transactions(tenant: Tenant, *tables: str, condition: str = "true") -> set[str]:
    """Return the transactions that last wrote the organisation's rows."""
    with tenant.stage.parts.database.unrestricted() as connection:
        return {
            xmin
            for table in tables
            for xmin in connection.scalars(
                text(f"select xmin::text from {table} where organisation_id = :id and {condition}"),  # noqa: S608 - names of our tables
                {"id": tenant.organisation_id},
            )
        }


@pytest.mark.parametrize("procedure", MUTATIONS, ids=lambda procedure: procedure.path)
def test_every_mutation_writes_its_audit_entry_in_the_same_transaction(connected: Tenant, procedure: Procedure) -> None:
    connected.add_employees({})
    value = an_input(connected, procedure)
    written, audited = transactions(connected, *WRITTEN), transactions(connected, "audit_log")
    assert connected.mutate(procedure.path.removeprefix("mailchimp."), value).status == 200

    assert transactions(connected, *WRITTEN) - written <= transactions(connected, "audit_log") - audited
    assert transactions(connected, "audit_log", condition="actor = 'alice'") - audited


def test_every_mutation_has_an_audit_entry_with_its_actor(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    connected.mutate("segments.update", {"id": segment_id, "name": "Other"})
    connected.mutate("segments.sync", {"id": segment_id})
    connected.mutate("segments.delete", {"id": segment_id})
    connected.mutate("connection.disconnect")
    log = connected.query("audit.list").data["items"]
    assert {entry["actor"] for entry in log} == {"alice"}
    assert [entry["action"] for entry in log] == [
        "connection.disconnected",
        "segment.deleted",
        "segment.sync_requested",
        "segment.updated",
        "segment.created",
        "connection.connected",
    ]


def test_an_entry_says_what_was_changed_and_how(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    connected.mutate("segments.update", {"id": segment_id, "name": "Other"})
    log = connected.query("audit.list", {"entityType": "segment", "entityId": segment_id}).data["items"]
    assert [entry["action"] for entry in log] == ["segment.updated", "segment.created"]
    assert (log[0]["entityType"], log[0]["entityId"], log[0]["details"]) == (
        "segment",
        segment_id,
        {"changed": ["name"]},
    )
    assert log[0]["at"].endswith("Z")


def test_pages_follow_each_other(connected: Tenant) -> None:
    for number in range(4):
        connected.create(name=str(number))
    first = connected.query("audit.list", {"limit": 3}).data
    second = connected.query("audit.list", {"limit": 3, "cursor": first["nextCursor"]}).data
    assert [entry["action"] for entry in second["items"]] == ["segment.created", "connection.connected"]
    assert second["nextCursor"] is None


def test_another_organisation_reads_none_of_it(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    other = a_tenant(connected.stage)
    assert other.query("audit.list").data["items"] == []
    assert other.query("audit.list", {"entityType": "segment", "entityId": segment_id}).data["items"] == []


@pytest.mark.parametrize("asked", [{"entityType": "segment"}, {"entityId": "1"}])
def test_half_of_an_entity_is_refused(tenant: Tenant, asked: dict[str, str]) -> None:
    error = tenant.query("audit.list", asked).error
    assert error["data"]["code"] == "BAD_REQUEST"
    assert "go together" in error["data"]["zodError"]["formErrors"][0]


def test_the_entries_of_one_actor_are_found_by_its_exact_name(connected: Tenant) -> None:
    bob = replace(connected, actor="bob")
    for tenant in (connected, bob, connected, bob):
        segment_id = tenant.create().data["id"]
    first = connected.query("audit.list", {"actor": "bob", "limit": 1}).data
    rest = connected.query("audit.list", {"actor": "bob", "cursor": first["nextCursor"]}).data
    assert [entry["actor"] for entry in (*first["items"], *rest["items"])] == ["bob", "bob"]
    assert connected.query("audit.list", {"actor": "Bob"}).data == {"items": [], "nextCursor": None}
    about = {"entityType": "segment", "entityId": segment_id}
    assert connected.query("audit.list", about | {"actor": "alice"}).data["items"] == []
    assert len(connected.query("audit.list", about | {"actor": "bob"}).data["items"]) == 1


@pytest.mark.parametrize(
    "actor", ["", "a" * 256, "a\0b", "ann@acme.test", "ann\N{FULLWIDTH COMMERCIAL AT}acme.test", 1]
)
def test_what_is_no_name_in_the_log_is_refused(tenant: Tenant, actor: object) -> None:
    error = tenant.query("audit.list", {"actor": actor}).error
    assert (error["data"]["code"], list(error["data"]["zodError"]["fieldErrors"])) == ("BAD_REQUEST", ["actor"])
