"""Erased contacts, recognised by keyed hashes only."""

import pytest
from sqlalchemy import select

from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.erased_contacts import ErasedAmong, ErasedContacts
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ErasedContactRow
from mailchimp_pipeline_tests.database.builders import ACME, KEYRING, a_member, members
from mailchimp_pipeline_tests.database.consent_scenario import ANN, BOB, VENDOR, Organisation

X, Y = "x@acme.test", "y@acme.test"


@pytest.fixture
def acme(database: Database) -> Organisation:
    """Return an organisation that has erased Ann."""
    acme = Organisation(database, staff={ANN: X})
    acme.erase(ANN)
    return acme


def among(
    acme: Organisation, *rows: dict[str, str | None], known: ErasedAmong | None = None, organisation_id: str = ACME
) -> tuple[set[tuple[str, str]], set[str]]:
    with acme.database.organisation(organisation_id) as session:
        found = ErasedContacts(session, KEYRING).among(members(*rows), known)
    return set(found.contacts), set(found.addresses)


def test_they_are_found_among_contacts_by_entity_and_by_address(acme: Organisation) -> None:
    same_entity, same_address = a_member(Y, entity_id="1"), a_member(X, entity_type="vendor", entity_id="7")
    found = among(acme, same_entity, same_address, a_member("z@acme.test", entity_id="2"))
    assert found == ({("employee", "1")}, {subscriber_hash(X), subscriber_hash(Y)})


def test_a_contact_without_an_address_is_found_by_its_id(acme: Organisation) -> None:
    assert among(acme, a_member(entity_id="1") | {"subscriber_hash": None}) == ({("employee", "1")}, set())


def test_compared_contacts_are_not_compared_again(acme: Organisation) -> None:
    everybody = members(a_member(X, entity_id="1"), a_member(Y, entity_id="2"))
    with acme.database.organisation(ACME) as session:
        known = ErasedContacts(session, KEYRING).among(everybody)
    assert among(acme, known=known) == (set(known.contacts), set(known.addresses))
    acme.staff = {BOB: Y}
    acme.erase(BOB)
    contacts, addresses = among(acme, a_member(Y, entity_id="2"), known=known)
    assert contacts == {("employee", "1"), ("employee", "2")}
    assert addresses == {subscriber_hash(X), subscriber_hash(Y)}


def test_another_organisation_erased_nobody(acme: Organisation) -> None:
    assert among(acme, a_member(X, entity_id="1"), organisation_id="globex") == (set(), set())


def test_erased_contacts_are_kept_as_keyed_hashes_only(acme: Organisation) -> None:
    with acme.database.organisation(ACME) as session:
        kept = [(row.kind, row.keyed_hash) for row in session.scalars(select(ErasedContactRow))]
    assert sorted(kind for kind, _ in kept) == ["address", "entity"]
    assert not {subscriber_hash(X), "1"} & {keyed_hash for _, keyed_hash in kept}


def test_lifting_an_erasure_leaves_those_of_others(acme: Organisation) -> None:
    acme.staff = {BOB: X, VENDOR: Y}
    acme.erase(BOB)
    acme.erase(VENDOR)
    with acme.database.organisation(ACME) as session:
        erased = ErasedContacts(session, KEYRING)
        assert (erased.lift(ANN, [subscriber_hash(X)]), erased.lift(ANN, [])) == (True, False)
        assert [erased.holds(contact) for contact in (ANN, BOB, VENDOR)] == [False, True, True]
        assert erased.of_addresses(map(subscriber_hash, (X, Y))) == set(map(subscriber_hash, (X, Y)))
        assert erased.relations() == {EntityType.EMPLOYEE, EntityType.VENDOR}
