"""What an erasure removes from the tables and keeps until it is completed."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import insert, select

from mailchimp_pipeline.consent import ConsentStatement
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.consent_statements import record_statements
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.erasure_store import DatabaseErasures, ErasureStore, NoSuchErasure
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import AudienceMemberRow, ErasureRequestRow, RejectedContactRow
from mailchimp_pipeline.erasure import Demand, ErasureStatus, OpenDeletion, Targets, Trace
from mailchimp_pipeline_tests.database.builders import (
    ACME,
    AT,
    KEYRING,
    LIST,
    MINUTE,
    a_member,
    a_segment,
    members,
    put_members,
)

ANN, NEW, BOB = map(subscriber_hash, ("ann@acme.test", "new@acme.test", "bob@acme.test"))
EMPLOYEE = EntityType.EMPLOYEE


def ask(database: Database, *addresses: str) -> str:
    """Ask for the erasure of employee 1, and return its id."""
    with database.organisation(ACME) as session:
        demand = Demand(EMPLOYEE, "1", addresses, "alice")
        return ErasureStore(session, KEYRING).ask(demand, at=AT).id


def targets(database: Database, request_id: str) -> Targets:
    with database.organisation(ACME) as session:
        found = ErasureStore(session, KEYRING).begin(request_id, at=AT)
    assert found is not None
    return found


def conclude(database: Database, request_id: str, known: Targets) -> bool:
    with database.organisation(ACME) as session:
        return ErasureStore(session, KEYRING).conclude(request_id, known, at=AT)


def in_ledger(database: Database, *rows: Mapping[str, object]) -> None:
    usual: dict[str, object] = {"organisation_id": ACME, "mailchimp_list_id": LIST}
    with database.organisation(ACME) as session:
        session.execute(insert(AudienceMemberRow), [usual | dict(row) for row in rows])


def ledger(database: Database) -> Sequence[str]:
    with database.organisation(ACME) as session:
        return session.scalars(select(AudienceMemberRow.subscriber_hash)).all()


def opt_in(session: OrganisationSession) -> None:
    at = AT + MINUTE
    statement = ConsentStatement(opted_in=True, source="form", stated_at=at, contact=(EMPLOYEE, "1"))
    record_statements(session, KEYRING, [statement], by="alice", at=at)
    assert ErasedContacts(session, KEYRING).lift((EMPLOYEE, "1"), [ANN])


def test_rows_are_found_by_entity_by_address_and_by_lasting_id(database: Database) -> None:
    by_entity = {"subscriber_hash": ANN, "entity_type": "employee", "entity_id": "1", "contact_id": "c1"}
    in_ledger(
        database,
        by_entity | {"pushed_at": AT},
        {"subscriber_hash": NEW, "contact_id": "c1", "status": "subscribed", "entity_type": None, "entity_id": None},
        {"subscriber_hash": BOB, "contact_id": "c2", "status": "subscribed", "entity_type": None, "entity_id": None},
    )
    known = targets(database, ask(database))
    assert ledger(database) == [BOB]
    assert set(known.addresses) == {ANN, NEW}
    assert {trace.contact_id for trace in known.traces} == {"c1"}


def test_a_contact_that_mailchimp_only_refused_never_was_there(database: Database) -> None:
    rejected = {
        "organisation_id": ACME,
        "mailchimp_list_id": LIST,
        "subscriber_hash": ANN,
        "entity_type": "employee",
        "entity_id": "1",
        "reason": "looks_fake",
        "is_final": True,
        "digest": "",
        "merge_fields": "",
        "attempts": 1,
        "rejected_at": AT,
        "last_attempt_at": AT,
    }
    with database.organisation(ACME) as session:
        session.execute(insert(RejectedContactRow).values(rejected))
    put_members(database, a_segment(database), a_member("new@acme.test", entity_id="1"))
    known = targets(database, ask(database))
    assert (known.traces, set(known.addresses)) == ((), {ANN, NEW})
    with database.organisation(ACME) as session:
        assert session.scalars(select(RejectedContactRow.subscriber_hash)).all() == []


def test_the_targets_are_kept_encrypted_and_forgotten_in_the_end(database: Database) -> None:
    request_id = ask(database, ANN)
    with database.organisation(ACME) as session:
        kept = session.scalars(select(ErasureRequestRow.targets_encrypted)).one()
    assert kept is not None
    assert ANN not in kept
    assert conclude(database, request_id, targets(database, request_id))
    with database.organisation(ACME) as session:
        assert session.scalars(select(ErasureRequestRow.targets_encrypted)).one() is None


def test_an_erasure_is_not_concluded_while_more_is_known_than_was_asked_for(database: Database) -> None:
    request_id = ask(database, ANN)
    known = targets(database, request_id)
    put_members(database, a_segment(database), a_member("new@acme.test", entity_id="1"))
    assert not conclude(database, request_id, known)
    assert set(targets(database, request_id).addresses) == {ANN, NEW}


def test_what_was_asked_for_meanwhile_is_not_overwritten(database: Database) -> None:
    request_id = ask(database, ANN)
    attempt = targets(database, request_id).with_settled(OpenDeletion(LIST, ANN, was_there=False), deleted=True)
    assert ask(database, NEW) == request_id
    with database.organisation(ACME) as session:
        ErasureStore(session, KEYRING).save(request_id, attempt, error="later", at=AT)
    kept = targets(database, request_id)
    assert set(kept.addresses) == {ANN, NEW}
    assert kept.settled == ((LIST, ANN),)


def test_who_opts_in_while_the_erasure_is_pending_stays_lifted(database: Database) -> None:
    request_id = ask(database, ANN)
    known = targets(database, request_id)
    with database.organisation(ACME) as session:
        opt_in(session)
        ErasureStore(session, KEYRING).save(request_id, known.with_addresses([NEW]), error=None, at=AT)
        assert not ErasedContacts(session, KEYRING).relations()
        assert PreferenceStore(session).get(EMPLOYEE, "1") is not None


def test_an_erasure_after_an_opt_in_is_a_new_one(database: Database) -> None:
    first = ask(database, ANN)
    conclude(database, first, targets(database, first))
    with database.organisation(ACME) as session:
        opt_in(session)
    assert ask(database, ANN) != first


def test_members_that_were_read_before_the_erasure_are_spared_when_they_are_written(database: Database) -> None:
    read = members(a_member(), a_member("ann@acme.test", entity_id="7"), a_member("bob@acme.test", entity_id="2"))
    ask(database, ANN)
    with database.organisation(ACME) as session:
        erased = ErasedContacts(session, KEYRING).among(read)
    assert (erased.contacts, erased.addresses) == ({("employee", "1")}, {ANN})


def test_an_erasure_waits_for_whoever_looked_who_is_erased_and_goes_on_to_write(database: Database) -> None:
    seen = {"organisation_id": ACME, "mailchimp_list_id": LIST, "subscriber_hash": ANN}
    with ThreadPoolExecutor(1) as pool:
        with database.organisation(ACME) as session:
            assert not ErasedContacts(session, KEYRING).of_addresses([ANN])
            asked = pool.submit(ask, database, ANN)
            session.execute(insert(AudienceMemberRow).values(seen))
        asked.result()
    assert ledger(database) == []


def test_a_person_can_confirm_a_pending_erasure_once(database: Database) -> None:
    request_id = ask(database, ANN)
    erasures = DatabaseErasures(database, KEYRING, lambda: AT)
    assert erasures.confirm(request_id, by="bob").status is ErasureStatus.COMPLETED
    with pytest.raises(NoSuchErasure, match="mailchimp-pipeline erasures"):
        erasures.confirm(request_id, by="bob")


@pytest.mark.parametrize("request_id", ["", "1", "00000000-0000-4000-8000-000000000000"])
def test_what_is_no_erasure_cannot_be_confirmed(database: Database, request_id: str) -> None:
    with pytest.raises(NoSuchErasure):
        DatabaseErasures(database, KEYRING, lambda: AT).confirm(request_id, by="bob")


def test_of_two_traces_of_one_place_the_lasting_id_is_kept() -> None:
    trace = Trace(list_id=LIST, subscriber_hash=ANN)
    known = Targets(entity_type=EMPLOYEE, entity_id="1").with_traces([trace.model_copy(update={"contact_id": "c"})])
    assert known.with_traces([trace]).traces[0].contact_id == "c"
