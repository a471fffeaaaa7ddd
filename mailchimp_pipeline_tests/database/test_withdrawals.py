"""Who opted out and is still mailed somewhere, whoever brought them there."""

import pytest
from mailchimp_pipeline.database.withdrawals import audiences_to_tell, organisations_to_tell

from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.preferences import PreferenceStore, Word
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sync import MemberStatus, Standing
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, a_connection, a_member, members

ANN = subscriber_hash("ann@acme.test")


def opt_out(database: Database, entity_id: str = "1") -> None:
    word = Word(EntityType.EMPLOYEE, entity_id, opted_in=False, source="letter")
    with database.organisation(ACME) as session:
        PreferenceStore(session, KEYRING).record(word, by="alice", at=AT)


def seen(database: Database, status: MemberStatus = MemberStatus.SUBSCRIBED) -> DatabaseLedger:
    """Return the ledger of an audience that has Ann, whom we never sent."""
    ledger = DatabaseLedger(database, ACME, LIST, lambda: AT)
    ledger.take_over([Standing(ANN, status, AT)])
    return ledger


def look_at(database: Database, *contacts: dict[str, str | None]) -> None:
    """Look who has which address, as a run does with all its contacts."""
    DatabaseRecords(database, KEYRING, lambda: AT).link_words(ACME, members(*contacts))


def outstanding(database: Database) -> tuple[list[str], list[str]]:
    with database.organisation(ACME) as session:
        audiences = audiences_to_tell(session)
    with database.everyone() as session:
        return audiences, organisations_to_tell(session)


@pytest.mark.parametrize("status", [MemberStatus.SUBSCRIBED, MemberStatus.PENDING])
def test_a_member_at_the_address_of_who_opted_out_is_theirs(database: Database, status: MemberStatus) -> None:
    a_connection(database)
    ledger = seen(database, status)
    opt_out(database)
    assert outstanding(database) == ([], [])
    look_at(database, a_member())
    assert outstanding(database) == ([LIST], [ACME])
    assert [each.subscriber_hash for each in ledger.withdrawn()] == [ANN]


def test_a_member_is_nobodys_where_the_contact_said_nothing(database: Database) -> None:
    ledger = seen(database)
    opt_out(database, "2")
    look_at(database, a_member(), a_member("bob@acme.test", entity_id="2"))
    assert [each.subscriber_hash for each in ledger.withdrawn()] == []


def test_a_contact_without_an_address_has_no_member(database: Database) -> None:
    ledger = seen(database)
    opt_out(database)
    look_at(database, a_member() | {"subscriber_hash": None})
    assert [each.subscriber_hash for each in ledger.withdrawn()] == []


def test_who_is_not_connected_cannot_be_told(database: Database) -> None:
    seen(database)
    opt_out(database)
    look_at(database, a_member())
    assert outstanding(database) == ([], [])
