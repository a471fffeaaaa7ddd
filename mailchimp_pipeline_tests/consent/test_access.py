"""What is held about a contact, as `mailchimp.preferences.export` tells it, over HTTP, the database and the sandbox."""

from typing import Any

import pytest
from sqlalchemy import update

from api.trpc import Role
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.tables import ConnectionRow
from mailchimp_pipeline_tests.api.served import logged_lines
from mailchimp_pipeline_tests.consent.erasing import (
    ADDRESS,
    ENTITY,
    FIRST_NAME,
    LAST_NAME,
    Office,
)
from sandbox import Seed


def exported(office: Office) -> Any:  # noqa: ANN401 - JSON
    return office.tenant.mutate("preferences.export", ENTITY).data


def test_only_an_administrator_may_ask(office: Office) -> None:
    assert office.tenant.mutate("preferences.export", ENTITY, role=Role.EDITOR).status == 403


def test_it_tells_memberships_and_what_was_sent_and_when(office: Office) -> None:
    segment = office.segment()
    office.sync(segment)
    held = exported(office)
    (membership,), (sent,) = held["memberships"], held["sent"]
    assert (membership["segmentName"], membership["email"]) == ("Everybody", ADDRESS)
    assert (membership["firstName"], membership["lastName"]) == (FIRST_NAME, LAST_NAME)
    assert (sent["mailchimpListId"], sent["status"], sent["email"]) == (office.lists[0], "subscribed", ADDRESS)
    assert sent["firstPushedAt"]


def test_it_tells_what_mailchimp_holds_in_its_own_words(office: Office) -> None:
    office.sync(office.segment())
    told = exported(office)["mailchimp"]
    (entry,) = told["entries"]
    assert (entry["mailchimpListId"], told["incompleteBecause"]) == (office.lists[0], None)
    assert entry["member"]["merge_fields"]["LNAME"] == LAST_NAME
    assert entry["member"]["email_address"] == ADDRESS


def test_a_contact_that_changed_its_address_at_mailchimp_is_found(office: Office) -> None:
    office.sync(office.segment())
    office.sandbox.change_address(office.lists[0], ADDRESS, "zeb@new-home.test")
    (entry,) = exported(office)["mailchimp"]["entries"]
    assert entry["member"]["email_address"] == "zeb@new-home.test"


def test_it_tells_preference_and_audit_entries_and_notes_that_it_was_asked(office: Office) -> None:
    said = {**ENTITY, "optedIn": False, "consentSource": "form"}
    office.tenant.mutate("preferences.updateOptStatus", said)
    held, again = exported(office), exported(office)
    assert held["preference"]["optedIn"] is False
    assert [entry["action"] for entry in held["audit"]] == ["preference.opted_out"]
    assert [entry["action"] for entry in again["audit"]] == ["contact.exported", "preference.opted_out"]


def test_a_mailchimp_that_is_away_is_said_to_be(office: Office) -> None:
    office.sync(office.segment())
    office.sandbox.start_outage()
    held = exported(office)
    assert "could not be reached" in held["mailchimp"]["incompleteBecause"]
    assert len(held["sent"]) == 1


def test_without_a_connection_and_a_source_it_tells_the_rest(office: Office) -> None:
    office.tenant.mutate("connection.disconnect")
    file = office.tenant.stage.files / "employees.csv"
    away = file.rename(file.with_suffix(".away"))
    try:
        held = exported(office)
    finally:
        away.rename(file)
    assert "is not connected to Mailchimp" in held["mailchimp"]["incompleteBecause"]
    assert not held["sourceAsked"]


def test_a_key_that_cannot_be_read_is_told_without_the_ids_of_our_keys(office: Office) -> None:
    tenant = office.tenant
    foreign = Keyring({"prod-2026-11": b"2" * 32}).encrypt(tenant.api_key, tenant.organisation_id)
    with tenant.stage.parts.database.organisation(tenant.organisation_id) as session:
        session.execute(update(ConnectionRow).values(api_key_encrypted=foreign))
    with logged_lines() as log:
        because = exported(office)["mailchimp"]["incompleteBecause"]
    assert because == "The stored API key cannot be read: connect Mailchimp again"
    assert "prod-2026-11" in log.getvalue()


def test_of_an_erased_contact_it_tells_that_it_was_erased(office: Office) -> None:
    office.sync(office.segment())
    office.erase()
    held = exported(office)
    assert [erasure["status"] for erasure in held["erasures"]] == ["completed"]
    assert (held["preference"], held["memberships"], held["sent"], held["mailchimp"]["entries"]) == (None, [], [], [])


@pytest.mark.parametrize("there", ["zeb@bücher.test", "zeb@xn--bcher-kva.test"])
def test_a_member_that_was_never_synced_is_found_in_whatever_spelling_mailchimp_has_it(
    office: Office, there: str
) -> None:
    office.tenant.add_employees({"id": "3", "email": "zeb@bücher.test"})
    office.sandbox.add_members(office.lists[1], [Seed(email_address=there)])
    held = office.tenant.mutate("preferences.export", {**ENTITY, "entityId": "3"}).data
    assert [entry["member"]["email_address"] for entry in held["mailchimp"]["entries"]] == [there]
    office.sync(office.segment(1))
    held = office.tenant.mutate("preferences.export", {**ENTITY, "entityId": "3"}).data
    assert [entry["member"]["email_address"] for entry in held["mailchimp"]["entries"]] == [there]


def test_an_unknown_contact_is_not_found(office: Office) -> None:
    unknown = office.tenant.mutate("preferences.export", {**ENTITY, "entityId": "404"})
    assert (unknown.status, office.tenant.audit_actions()) == (404, ["connection.connected"])
