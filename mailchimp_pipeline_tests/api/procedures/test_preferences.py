"""`mailchimp.preferences` over HTTP and the database."""

import pytest
from sqlalchemy import select

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.tables import AudienceMemberRow, ConsentStatementRow
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant, parse_time
from mailchimp_pipeline_tests.api.trpc.wire import Answer

ANN = {"entityId": "1", "entityType": "employee"}
ADDRESS = "ann@acme.test"


def say(tenant: Tenant, *, opted_in: bool, **changed: object) -> Answer:
    statement = ANN | {"optedIn": opted_in, "consentSource": "dashboard"} | changed
    return tenant.mutate("preferences.updateOptStatus", statement)


def stated_at(tenant: Tenant) -> list[str | None]:
    """Return the subscriber hashes of the statements."""
    row = ConsentStatementRow
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        ours = select(row.subscriber_hash).where(row.organisation_id == tenant.organisation_id)
        return list(session.scalars(ours.order_by(row.id)))


@pytest.fixture
def employer(tenant: Tenant) -> Tenant:
    """Return an organisation with Ann, employee 1."""
    tenant.add_employees({"id": "1", "email": ADDRESS})
    return tenant


def test_a_contact_who_never_stated_anything_has_no_preference(employer: Tenant) -> None:
    assert employer.query("preferences.getForEntity", ANN).data is None


@pytest.mark.parametrize("opted_in", [True, False])
@pytest.mark.parametrize("entity", [{"entityId": "2"}, {"entityId": "01"}, {"entityType": "vendor"}])
def test_a_contact_that_neither_the_source_nor_a_table_knows_is_not_found(
    employer: Tenant, entity: dict[str, str], *, opted_in: bool
) -> None:
    answer = say(employer, opted_in=opted_in, **entity)
    assert (answer.status, answer.error["data"]["code"]) == (404, "NOT_FOUND")
    assert employer.query("preferences.list").data["items"] == []
    assert employer.audit_actions() == []


def test_an_address_in_place_of_an_id_is_written_nowhere(employer: Tenant) -> None:
    answer = say(employer, opted_in=False, entityId=ADDRESS)
    assert answer.error["data"]["code"] == "NOT_FOUND"
    assert ADDRESS not in answer.body.decode()
    assert employer.audit_actions() == []


def test_an_employee_of_another_organisation_is_not_found(employer: Tenant, stage: Stage) -> None:
    assert say(a_tenant(stage), opted_in=False).error["data"]["code"] == "NOT_FOUND"
    assert say(employer, opted_in=False).status == 200


def test_a_withdrawal_keeps_the_moment_of_the_consent(employer: Tenant) -> None:
    given = say(employer, opted_in=True).data
    withdrawn = say(employer, opted_in=False, consentSource="unsubscribe form").data
    assert (given["optedIn"], given["consentWithdrawnAt"]) == (True, None)
    assert (withdrawn["optedIn"], withdrawn["consentGivenAt"]) == (False, given["consentGivenAt"])
    assert parse_time(withdrawn["consentWithdrawnAt"]) > parse_time(given["consentGivenAt"])
    assert employer.query("preferences.getForEntity", ANN).data == withdrawn


def test_the_fields_of_a_preference_are_those_of_the_contract(employer: Tenant) -> None:
    assert list(say(employer, opted_in=True).data) == [
        "entityId",
        "entityType",
        "optedIn",
        "consentGivenAt",
        "consentWithdrawnAt",
        "consentSource",
        "updatedAt",
    ]


@pytest.mark.parametrize("entity_id", [" 1 ", "1\u200b", "\uff11"])
def test_an_id_in_another_form_is_that_of_the_source(employer: Tenant, entity_id: str) -> None:
    say(employer, opted_in=True, entityId=entity_id)
    assert employer.query("preferences.getForEntity", ANN).data["entityId"] == "1"


def test_every_statement_is_in_the_audit_log_with_its_source(employer: Tenant) -> None:
    say(employer, opted_in=True)
    say(employer, opted_in=False)
    asked = {"entityType": "employee", "entityId": "1"}
    entries = employer.query("audit.list", asked).data["items"]
    assert [entry["action"] for entry in entries] == ["preference.opted_out", "preference.opted_in"]
    assert {(entry["actor"], entry["details"]["consent_source"]) for entry in entries} == {("alice", "dashboard")}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"entityId": ""}, "entityId"),
        ({"entityId": "\u200b"}, "entityId"),
        ({"entityId": 1}, "entityId"),
        ({"entityId": "1\0"}, "entityId"),
        ({"entityType": "customer"}, "entityType"),
        ({"optedIn": "no"}, "optedIn"),
        ({"consentSource": " "}, "consentSource"),
        ({"consentSource": "mail from ann@acme.test"}, "consentSource"),
        ({"consentSource": " Mailchimp "}, "consentSource"),
        ({"consentSource": "deleted_at_mailchimp"}, "consentSource"),
    ],
)
def test_a_wrong_field_is_named(tenant: Tenant, changed: dict[str, object], field: str) -> None:
    error = tenant.mutate(
        "preferences.updateOptStatus", ANN | {"optedIn": True, "consentSource": "form"} | changed
    ).error
    assert (error["data"]["code"], list(error["data"]["zodError"]["fieldErrors"])) == ("BAD_REQUEST", [field])


def test_pages_follow_each_other_those_that_changed_last_first(tenant: Tenant) -> None:
    tenant.add_employees(*({"id": str(number)} for number in range(5)))
    for number in range(5):
        say(tenant, opted_in=True, entityId=str(number))
    say(tenant, opted_in=False, entityId="2")
    seen: list[str] = []
    page = tenant.query("preferences.list", {"limit": 2}).data
    seen += [one["entityId"] for one in page["items"]]
    while cursor := page["nextCursor"]:
        page = tenant.query("preferences.list", {"limit": 2, "cursor": cursor}).data
        seen += [one["entityId"] for one in page["items"]]
    assert seen == ["2", "4", "3", "1", "0"]


@pytest.mark.parametrize("opted_in", [True, False])
def test_a_statement_counts_for_the_address_that_the_contact_has_in_the_source(
    employer: Tenant, *, opted_in: bool
) -> None:
    was_sent(employer, "old@acme.test")
    say(employer, opted_in=opted_in)
    assert stated_at(employer) == [subscriber_hash(ADDRESS)]


def test_an_opt_out_of_a_contact_who_left_counts_for_the_address_that_was_sent(tenant: Tenant) -> None:
    was_sent(tenant, ADDRESS)
    assert say(tenant, opted_in=False).data["optedIn"] is False
    assert stated_at(tenant) == [subscriber_hash(ADDRESS)]


def test_an_opt_in_of_a_contact_who_left_counts_for_no_address(tenant: Tenant) -> None:
    was_sent(tenant, ADDRESS)
    say(tenant, opted_in=False)
    assert say(tenant, opted_in=True).data["optedIn"] is True
    assert stated_at(tenant) == [subscriber_hash(ADDRESS), None]


def was_sent(tenant: Tenant, email: str) -> None:
    member = AudienceMemberRow(
        organisation_id=tenant.organisation_id,
        mailchimp_list_id=tenant.list_id,
        subscriber_hash=subscriber_hash(email),
        entity_type="employee",
        entity_id="1",
        status="subscribed",
    )
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        session.add(member)


def test_an_organisation_asks_for_opt_ins_where_it_chooses_to(connected: Tenant) -> None:
    assert connected.query("preferences.getConsentRule").data == {"optInOnly": False}
    chosen = connected.mutate("preferences.setConsentRule", {"optInOnly": True})
    connected.mutate("connection.disconnect")
    connected.connect()
    assert chosen.data == connected.query("preferences.getConsentRule").data == {"optInOnly": True}
    assert connected.audit_actions().count("connection.opt_in_only_set") == 1


def test_an_organisation_that_is_not_connected_chooses_nothing(tenant: Tenant) -> None:
    assert tenant.query("preferences.getConsentRule").error["data"]["code"] == "PRECONDITION_FAILED"
    assert (
        tenant.mutate("preferences.setConsentRule", {"optInOnly": True}).error["data"]["code"] == "PRECONDITION_FAILED"
    )
