"""`mailchimp.preferences` over HTTP and the database."""

import pytest
from sqlalchemy import select

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.members import MemberStore
from mailchimp_pipeline.database.segments import SegmentStore
from mailchimp_pipeline.database.tables import AudienceMemberRow, PreferenceRow
from mailchimp_pipeline_tests.api.procedures.stage import Tenant, moment
from mailchimp_pipeline_tests.api.trpc.wire import Answer
from mailchimp_pipeline_tests.database.builders import a_member, members

ANN = {"entityId": "1", "entityType": "employee"}


def say(tenant: Tenant, *, opted_in: bool, **changed: object) -> Answer:
    word = ANN | {"optedIn": opted_in, "consentSource": "dashboard"} | changed
    return tenant.mutate("preferences.updateOptStatus", word)


def stored_hash(tenant: Tenant) -> str | None:
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        return session.scalar(
            select(PreferenceRow.subscriber_hash).where(PreferenceRow.organisation_id == tenant.organisation_id)
        )


def test_who_never_said_anything_has_no_preference(tenant: Tenant) -> None:
    assert tenant.query("preferences.getForEntity", ANN).data is None


def test_a_withdrawal_keeps_the_moment_of_the_consent(tenant: Tenant) -> None:
    given = say(tenant, opted_in=True).data
    withdrawn = say(tenant, opted_in=False, consentSource="unsubscribe form").data
    assert (given["optedIn"], given["consentWithdrawnAt"]) == (True, None)
    assert (withdrawn["optedIn"], withdrawn["consentGivenAt"]) == (False, given["consentGivenAt"])
    assert moment(withdrawn["consentWithdrawnAt"]) > moment(given["consentGivenAt"])
    assert tenant.query("preferences.getForEntity", ANN).data == withdrawn


def test_the_fields_of_a_preference_are_those_of_the_contract(tenant: Tenant) -> None:
    assert list(say(tenant, opted_in=True).data) == [
        "entityId",
        "entityType",
        "optedIn",
        "consentGivenAt",
        "consentWithdrawnAt",
        "consentSource",
        "updatedAt",
    ]


@pytest.mark.parametrize("entity_id", [" 1 ", "1\u200b", "\uff11"])
def test_an_id_in_another_form_is_that_of_the_source(tenant: Tenant, entity_id: str) -> None:
    say(tenant, opted_in=True, entityId=entity_id)
    assert tenant.query("preferences.getForEntity", ANN).data["entityId"] == "1"


def test_every_word_is_in_the_audit_log_with_its_source(tenant: Tenant) -> None:
    say(tenant, opted_in=True)
    say(tenant, opted_in=False)
    asked = {"entityType": "employee", "entityId": "1"}
    entries = tenant.query("audit.list", asked).data["items"]
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


def test_an_opt_out_bars_the_address_that_the_contact_has_in_a_segment(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    with connected.stage.parts.database.organisation(connected.organisation_id) as session:
        segment = SegmentStore(session).get(segment_id)
        assert segment is not None
        MemberStore(session).replace(segment, members(a_member("ann@acme.test")))
        session.add(an_audience_member(connected, "old@acme.test"))
    say(connected, opted_in=False)
    assert stored_hash(connected) == subscriber_hash("ann@acme.test")


def test_an_opt_out_of_somebody_who_left_bars_the_address_that_was_sent(tenant: Tenant) -> None:
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        session.add(an_audience_member(tenant, "ann@acme.test"))
    say(tenant, opted_in=False)
    assert stored_hash(tenant) == subscriber_hash("ann@acme.test")


def test_an_opt_out_of_somebody_never_seen_is_kept_all_the_same(tenant: Tenant) -> None:
    assert say(tenant, opted_in=False).data["optedIn"] is False
    assert stored_hash(tenant) is None


def an_audience_member(tenant: Tenant, email: str) -> AudienceMemberRow:
    return AudienceMemberRow(
        organisation_id=tenant.organisation_id,
        mailchimp_list_id=tenant.list_id,
        subscriber_hash=subscriber_hash(email),
        entity_type="employee",
        entity_id="1",
        state="pushed",
    )


def test_an_organisation_asks_for_opt_ins_where_it_chooses_to(connected: Tenant) -> None:
    assert connected.query("preferences.getConsentRule").data == {"optInOnly": False}
    chosen = connected.mutate("preferences.setConsentRule", {"optInOnly": True})
    connected.mutate("connection.disconnect")
    connected.connect()
    assert chosen.data == connected.query("preferences.getConsentRule").data == {"optInOnly": True}
    assert connected.actions().count("connection.opt_in_only_set") == 1


def test_who_is_not_connected_chooses_nothing(tenant: Tenant) -> None:
    assert tenant.query("preferences.getConsentRule").error["data"]["code"] == "PRECONDITION_FAILED"
    assert (
        tenant.mutate("preferences.setConsentRule", {"optInOnly": True}).error["data"]["code"] == "PRECONDITION_FAILED"
    )
