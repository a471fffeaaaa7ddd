"""Erasure and the connection: where an organisation has none, another account, or a key that is refused."""

import pytest

from mailchimp_pipeline.services.resources import open_resources
from mailchimp_pipeline_tests.api.procedures.stage import settings_for
from mailchimp_pipeline_tests.consent.erasing import (
    ENTITY,
    HASH,
    Office,
    a_sync_held_at_its_batch,
    word,
)
from sandbox import Status


def connect_another_account(office: Office) -> None:
    key = office.tenant.api_key.replace("-us6", "-us7")
    office.sandbox.add_account(key, "Another")
    assert office.tenant.mutate("connection.connect", {"apiKey": key}).status == 200


def test_a_contact_that_was_nowhere_is_erased_without_a_connection(office: Office) -> None:
    office.tenant.mutate("connection.disconnect")
    assert office.erase() == {**ENTITY, "status": "completed", "audiences": 0}


def test_a_contact_that_was_pushed_is_pending_until_the_organisation_connects_again(office: Office) -> None:
    office.sync(office.segment())
    office.tenant.mutate("connection.disconnect")
    assert office.status() == "pending"
    assert "is not connected to Mailchimp" in str(office.pending())
    office.tenant.connect()
    office.retry_pending()
    assert (office.there(), office.pending()) == (None, [])


def test_an_audience_of_an_account_of_before_waits_for_a_person(office: Office) -> None:
    office.sync(office.segment())
    connect_another_account(office)
    assert office.status() == "pending"
    assert "is not in the connected account" in str(office.pending())


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_sync_that_outlives_the_connection_keeps_it_pending(office: Office, *, is_replaced: bool) -> None:
    segment = office.segment()
    with a_sync_held_at_its_batch(office, segment):
        if is_replaced:
            connect_another_account(office)
        else:
            assert office.tenant.mutate("connection.disconnect").status == 200
        status = office.status()
    assert status == "pending"
    office.retry_pending()
    assert HASH not in office.known()
    assert office.pending() != []
    assert office.tenant.connect().status == 200
    office.retry_pending()
    assert (office.there(), office.pending()) == (None, [])


def test_an_opt_out_while_another_account_is_connected_reaches_the_first_one(office: Office) -> None:
    segment = office.segment()
    office.sync(segment)
    connect_another_account(office)
    word(office, opted_in=False)
    assert office.tenant.connect().status == 200
    with open_resources(settings_for(office.parts.database_url, office.tenant.stage.files, office.sandbox)) as anew:
        office.sync(segment, parts=anew)
    member = office.there()
    assert member is not None
    assert member.status is Status.UNSUBSCRIBED


def test_a_refused_key_leaves_it_pending_and_asks_for_a_person(office: Office) -> None:
    office.sync(office.segment())
    office.sandbox.revoke_key(office.tenant.api_key)
    assert office.status() == "pending"
    (attempt,) = office.retry_pending()
    assert attempt.needs_person
