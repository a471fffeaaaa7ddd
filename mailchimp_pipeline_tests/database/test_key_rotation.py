"""Rotation of the encryption keys over all stored secrets."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
from sqlalchemy import insert, select

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.encryption import Keyring, key_id_of, keyed_hashes
from mailchimp_pipeline.database.key_rotation import rotate
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ConnectionRow, ErasureRequestRow, PseudonymKeyRow
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, AT, MINUTE, a_connection
from mailchimp_pipeline_tests.waiting import eventually

OLD, NEW = b"1" * 32, b"2" * 32
BEFORE, BOTH, AFTER = Keyring({"old": OLD}), Keyring({"new": NEW, "old": OLD}), Keyring({"new": NEW})
PREPARED = Keyring({"old": OLD, "new": NEW})
"""The new key is in every ring before any process encrypts with it."""

STEPS = (BEFORE, PREPARED, BOTH, AFTER)
"""The key rings of a rotation, in order. During a roll-out, processes use a ring and its predecessor."""

ORGANISATIONS = [f"acme-{number}" for number in range(20)]


def stored_keys(database: Database) -> list[str]:
    with database.everyone() as session:
        columns = (ConnectionRow.api_key_encrypted, PseudonymKeyRow.key_encrypted, ErasureRequestRow.targets_encrypted)
        tokens = [token for column in columns for token in session.scalars(select(column)) if token]
    return sorted(map(key_id_of, tokens))


def test_rotation_encrypts_every_secret_once_so_the_old_key_can_be_removed(database: Database) -> None:
    for organisation_id in (ACME, "globex"):
        a_connection(database, organisation_id, BEFORE)
    assert rotate(database, BOTH, by="admin", at=AT) == 2
    assert rotate(database, BOTH, by="admin", at=AT) == 0
    with database.organisation("globex") as session:
        assert ConnectionStore(session, AFTER).api_key() == API_KEY


def test_keyed_hashes_outlive_the_key_that_their_own_key_was_kept_under(database: Database) -> None:
    with database.organisation(ACME) as session:
        before = keyed_hashes(session, BEFORE).of_entity(EntityType.EMPLOYEE, "1")
    rotate(database, BOTH, by="admin", at=AT)
    with database.organisation(ACME) as session:
        assert keyed_hashes(session, AFTER).of_entity(EntityType.EMPLOYEE, "1") == before


def test_rotation_includes_pending_erasures(database: Database) -> None:
    targets = BEFORE.encrypt("[]", ACME)
    with database.organisation(ACME) as session:
        row = {"organisation_id": ACME, "entity_hash": "0", "requested_by": "alice", "requested_at": AT}
        session.execute(insert(ErasureRequestRow).values(**row, targets_encrypted=targets))
    rotate(database, BOTH, by="admin", at=AT)
    assert stored_keys(database) == ["new"]


def test_each_rotated_secret_has_its_audit_entry(database: Database) -> None:
    connection = a_connection(database, keyring=BEFORE)
    rotate(database, BOTH, by="admin", at=AT + MINUTE)
    with database.organisation(ACME) as session:
        newest = audit_log.entries(session, limit=1).items[0]
    assert (newest.actor, newest.action) == ("admin", "secret.key_rotated")
    assert newest.entity == audit_log.Entity("connection", connection.id)
    assert newest.details == {"from": "old", "to": "new"}


def test_a_secret_of_a_disconnected_organisation_is_gone_and_needs_no_rotation(database: Database) -> None:
    a_connection(database, keyring=BEFORE)
    with database.organisation(ACME) as session:
        ConnectionStore(session, BEFORE).disconnect(by="alice", at=AT)
    assert rotate(database, BOTH, by="admin", at=AT) == 0
    assert stored_keys(database) == []


@pytest.mark.parametrize("ring", range(len(STEPS) - 1))
def test_both_key_rings_read_secrets_written_during_a_roll_out(database: Database, ring: int) -> None:
    sides = STEPS[ring : ring + 2]
    for writer in sides:
        a_connection(database, keyring=writer)
        # The former key is removed only after everything is encrypted with the new one.
        if sides == (BOTH, AFTER):
            rotate(database, BOTH, by="admin", at=AT)
        for reader in sides:
            with database.organisation(ACME) as session:
                assert ConnectionStore(session, reader).api_key() == API_KEY


def test_readers_and_writers_keep_working_during_a_rotation(database: Database) -> None:
    """Processes with both rings read and connect during a rotation. A second rotation encrypts what they wrote."""
    for organisation_id in ORGANISATIONS:
        a_connection(database, organisation_id, PREPARED)
    over, seen = threading.Event(), Counter[str]()
    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, database, ring, over, seen) for ring in (PREPARED, BOTH, PREPARED)]

        def are_at_work() -> int:
            assert not any(each.done() for each in working)
            return seen["reads"]

        try:
            eventually(are_at_work)
            rotated = rotate(database, BOTH, by="admin", at=AT)
        finally:
            over.set()
        assert [each.result() for each in working] == [None] * 3
    rotate(database, BOTH, by="admin", at=AT)
    assert rotated > 0
    assert set(stored_keys(database)) == {"new"}


def work(database: Database, ring: Keyring, over: threading.Event, seen: "Counter[str]") -> None:
    """Read the organisations' keys in turn, and reconnect one now and then, until the rotation ends."""
    for number in count():
        organisation_id = ORGANISATIONS[number % len(ORGANISATIONS)]
        if number % 7 == 0:
            a_connection(database, organisation_id, ring)
        with database.organisation(organisation_id) as session:
            assert ConnectionStore(session, ring).api_key() == API_KEY
            assert keyed_hashes(session, ring).of_entity(EntityType.EMPLOYEE, "1")
        seen["reads"] += 1
        if over.is_set():
            return
