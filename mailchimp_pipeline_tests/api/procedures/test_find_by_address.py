"""`mailchimp.preferences.findByAddress` over HTTP and the database."""

import pytest
from sqlalchemy import select

from api.trpc import Role
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.tables import AudienceMemberRow, SegmentMemberRow
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.api.served import logged_lines
from mailchimp_pipeline_tests.waiting import eventually

ADDRESS = "ann@acme.test"
ANN = {"entityType": "employee", "entityId": "1"}


@pytest.fixture
def synced(connected: Tenant) -> Tenant:
    """Return an organisation whose only contact is in a segment and in the audience."""
    connected.add_employees({"id": "1", "email": ADDRESS})
    connected.sync(connected.create().data["id"])
    return connected


def found(tenant: Tenant, address: str = ADDRESS) -> list[dict[str, str]]:
    items: list[dict[str, str]] = tenant.mutate("preferences.findByAddress", {"address": address}).data["items"]
    return items


def tables_with_address(tenant: Tenant) -> list[str]:
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        return [
            row.__tablename__
            for row in (SegmentMemberRow, AudienceMemberRow)
            if session.scalars(
                select(row.subscriber_hash).where(session.owns(row), row.subscriber_hash == subscriber_hash(ADDRESS))
            ).all()
        ]


@pytest.mark.parametrize("spelling", [ADDRESS, " Ann@ACME.test ", "ann\N{FULLWIDTH COMMERCIAL AT}acme.test"])
def test_a_synced_contact_is_found_by_its_address_in_any_spelling(synced: Tenant, spelling: str) -> None:
    assert found(synced, spelling) == [ANN]


def test_a_domain_is_found_in_unicode_and_in_ascii(connected: Tenant) -> None:
    connected.add_employees({"id": "1", "email": "zeb@bücher.test"})
    connected.sync(connected.create().data["id"])
    assert found(connected, "zeb@bücher.test") == found(connected, "zeb@xn--bcher-kva.test") == [ANN]


def test_a_contact_who_opted_out_and_left_the_segment_is_found_in_the_audience(synced: Tenant) -> None:
    synced.mutate("preferences.updateOptStatus", ANN | {"optedIn": False, "consentSource": "form"})
    synced.sync(synced.query("segments.list").data["items"][0]["id"])
    assert tables_with_address(synced) == ["audience_members"]
    assert found(synced) == [ANN]


def test_a_contact_that_was_never_synced_is_not_found(connected: Tenant) -> None:
    connected.add_employees({"id": "1", "email": ADDRESS})
    assert found(connected) == []


def test_contacts_who_share_an_address_are_sorted_by_type_and_id(synced: Tenant) -> None:
    synced.add_member(ADDRESS, "5", entity_type=EntityType.VENDOR)
    for entity_id in ("4", "1", "3"):
        synced.add_member(ADDRESS, entity_id)
    assert [(each["entityType"], each["entityId"]) for each in found(synced)] == [
        ("employee", "1"),
        ("employee", "3"),
        ("employee", "4"),
        ("vendor", "5"),
    ]


def test_an_erased_contact_is_not_found_although_the_address_is_known_again(synced: Tenant) -> None:
    assert synced.mutate("preferences.gdprDelete", ANN).data["status"] == "completed"
    assert found(synced) == []
    synced.add_member(ADDRESS, "1")
    synced.add_member(ADDRESS, "2")
    assert found(synced) == [ANN | {"entityId": "2"}]


@pytest.mark.usefixtures("synced")
def test_another_organisation_finds_nobody(stage: Stage) -> None:
    other = a_tenant(stage, connected=True)
    assert other.create().status == 200
    assert found(other) == []


def test_a_viewer_may_not_search_and_an_editor_may(synced: Tenant) -> None:
    wanted = {"address": ADDRESS}
    refused = synced.mutate("preferences.findByAddress", wanted, role=Role.VIEWER)
    assert (refused.status, refused.error["data"]["code"]) == (403, "FORBIDDEN")
    assert synced.mutate("preferences.findByAddress", wanted, role=Role.EDITOR).data["items"] == [ANN]


@pytest.mark.parametrize(
    "address", ["", " ", "ann", "ann@", "ann@acme", "ann@@acme.test", "änn@acme.test", "a" * 300 + "@acme.test", 1]
)
def test_an_invalid_address_is_refused(tenant: Tenant, address: object) -> None:
    answer = tenant.mutate("preferences.findByAddress", {"address": address})
    assert (answer.status, answer.error["data"]["code"]) == (400, "BAD_REQUEST")
    assert list(answer.error["data"]["zodError"]["fieldErrors"]) == ["address"]


@pytest.mark.parametrize("address", ["ann.lee@@acme.test", ["ann.lee@acme.test"], {"ann.lee@acme.test": 1}])
def test_a_refusal_does_not_repeat_the_address(tenant: Tenant, address: object) -> None:
    answer = tenant.mutate("preferences.findByAddress", {"address": address})
    assert (answer.status, "ann.lee" in answer.body.decode()) == (400, False)


def test_the_address_is_in_no_url_no_log_line_and_not_in_the_audit_log(synced: Tenant) -> None:
    with logged_lines() as log:
        assert found(synced) == [ANN]
        synced.mutate("preferences.findByAddress", {"address": f"{ADDRESS}@"})
        eventually(lambda: log.getvalue().count("findByAddress") == 2)
        lines = log.getvalue()
    assert synced.ask("preferences.findByAddress?input=%7B%7D").status == 405
    entries = synced.query("audit.list")
    assert ADDRESS not in lines + entries.body.decode()
    assert subscriber_hash(ADDRESS) not in lines + entries.body.decode()


def test_the_audit_log_says_who_searched_and_how_many_were_found(synced: Tenant) -> None:
    found(synced)
    found(synced, "nobody@acme.test")
    none, one = synced.query("audit.list", {"limit": 2}).data["items"]
    assert [entry["action"] for entry in (none, one)] == ["contact.searched"] * 2
    assert [entry["details"] for entry in (none, one)] == [{"found": 0}, {"found": 1}]
    assert one["actor"] == "alice"
