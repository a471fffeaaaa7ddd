"""What contacts said about e-mail, who was erased, and who must therefore not be pushed."""

from collections.abc import Sequence

import pandas as pd
from mailchimp_pipeline.database.erased import ErasedContacts
from sqlalchemy import insert, select

from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.connections import ConnectionStore
from mailchimp_pipeline.database.preferences import Preference, PreferenceStore, Word
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ErasedContactRow, ErasureRequestRow
from mailchimp_pipeline.segments import Suppressions
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, MINUTE, a_connection, a_member, members

ANN, BOB = subscriber_hash("ann@acme.test"), subscriber_hash("bob@acme.test")
EMPLOYEE = EntityType.EMPLOYEE
OPT_OUT = Word(EMPLOYEE, "1", opted_in=False, source="dashboard", subscriber_hash=ANN)
OPT_IN = Word(EMPLOYEE, "1", opted_in=True, source="form")


def say(database: Database, *words: Word) -> Preference:
    with database.organisation(ACME) as session:
        store = PreferenceStore(session, KEYRING)
        said = [store.record(word, by="alice", at=AT + place * MINUTE) for place, word in enumerate(words)]
    return said[-1]


def erase(database: Database, entity_id: str, addresses: Sequence[str]) -> None:
    request = {"organisation_id": ACME, "entity_hash": "0", "requested_by": "alice", "requested_at": AT}
    with database.organisation(ACME) as session:
        request_id = session.scalars(insert(ErasureRequestRow).values(request).returning(ErasureRequestRow.id)).one()
        erased = ErasedContacts(session, KEYRING)
        for _ in range(2):
            erased.add((EMPLOYEE, entity_id), addresses, erasure_request_id=str(request_id), at=AT)


def suppressions(database: Database, *contacts: dict[str, str | None], organisation_id: str = ACME) -> Suppressions:
    with database.organisation(organisation_id) as session:
        return PreferenceStore(session, KEYRING).suppressions(members(*contacts))


def rows(frame: pd.DataFrame) -> list[tuple[object, ...]]:
    return list(frame.itertuples(index=False, name=None))


def test_a_word_is_kept_with_its_time_and_source(database: Database) -> None:
    said = say(database, OPT_OUT)
    expected = Preference(EMPLOYEE, "1", opted_in=False, consent_given_at=None, consent_withdrawn_at=AT,
                          consent_source="dashboard", updated_at=AT)  # fmt: skip
    with database.organisation(ACME) as session:
        assert PreferenceStore(session, KEYRING).get(EMPLOYEE, "1") == said == expected
        assert PreferenceStore(session, KEYRING).get(EntityType.VENDOR, "1") is None


def test_a_later_word_keeps_the_time_of_the_opposite_one(database: Database) -> None:
    said = say(database, OPT_OUT, OPT_IN)
    assert (said.opted_in, said.consent_given_at, said.consent_withdrawn_at) == (True, AT + MINUTE, AT)
    with database.organisation(ACME) as session:
        told = [entry.action for entry in audit.entries(session, limit=10).items]
    assert told == ["preference.opted_in", "preference.opted_out"]


def test_preferences_are_listed_last_changed_first(database: Database) -> None:
    words = [Word(EMPLOYEE, f"{number}/x", opted_in=True, source="form") for number in range(3)]
    say(database, *words)
    with database.organisation(ACME) as session:
        store = PreferenceStore(session, KEYRING)
        first = store.list(limit=2)
        second = store.list(limit=2, cursor=first.next_cursor)
    assert [it.entity_id for it in (*first.items, *second.items)] == ["2/x", "1/x", "0/x"]
    assert second.next_cursor is None


def test_who_opted_out_is_suppressed_by_entity_and_by_address(database: Database) -> None:
    say(database, OPT_OUT, Word(EMPLOYEE, "2", opted_in=False, source="form"))
    found = suppressions(database)
    assert rows(found.entities) == [("employee", "1", "opted_out"), ("employee", "2", "opted_out")]
    assert rows(found.addresses) == [(ANN, "opted_out")]


def test_who_opts_in_again_is_suppressed_no_longer(database: Database) -> None:
    say(database, OPT_OUT, OPT_IN)
    found = suppressions(database, a_member())
    assert found.entities.empty
    assert found.addresses.empty


def test_another_organisations_words_and_erasures_suppress_nobody(database: Database) -> None:
    say(database, OPT_OUT)
    erase(database, "1", [ANN])
    found = suppressions(database, a_member(), organisation_id="globex")
    assert found.entities.empty
    assert found.addresses.empty


def test_the_erased_are_found_among_contacts_by_entity_and_by_address(database: Database) -> None:
    erase(database, "1", [ANN])
    same_entity = a_member("new@acme.test", entity_id="1")
    same_address = a_member("ann@acme.test", entity_type="vendor", entity_id="7")
    found = suppressions(database, same_entity, same_address, a_member("bob@acme.test", entity_id="2"))
    assert rows(found.entities) == [("employee", "1", "erased")]
    assert rows(found.addresses) == [(ANN, "erased")]


def test_a_contact_without_an_address_can_be_erased_too(database: Database) -> None:
    erase(database, "1", [])
    found = suppressions(database, a_member() | {"subscriber_hash": None, "email": None})
    assert rows(found.entities) == [("employee", "1", "erased")]


def test_nothing_of_the_erased_stands_in_the_clear(database: Database) -> None:
    erase(database, "4711", [ANN])
    with database.organisation(ACME) as session:
        kept = session.scalars(select(ErasedContactRow.keyed_hash)).all()
    assert len(kept) == 2
    assert not {ANN, "4711"} & set(kept)


def test_the_erased_who_opt_in_again_are_erased_no_longer_whatever_their_address(database: Database) -> None:
    erase(database, "1", [ANN, BOB])
    erase(database, "2", [])
    say(database, OPT_IN)
    found = suppressions(database, a_member(), a_member("bob@acme.test", entity_id="2"))
    assert rows(found.entities) == [("employee", "2", "erased")]
    assert found.addresses.empty


def test_consent_counts_only_where_the_organisation_asks_for_it(database: Database) -> None:
    a_connection(database)
    say(database, OPT_IN, Word(EMPLOYEE, "2", opted_in=False, source="form"))
    with database.organisation(ACME) as session:
        store = PreferenceStore(session, KEYRING)
        before = store.consented()
        ConnectionStore(session, KEYRING).set_opt_in_only(opt_in_only=True, by="alice", at=AT)
        after = store.consented()
    assert before is None
    assert after is not None
    assert rows(after) == [("employee", "1")]
