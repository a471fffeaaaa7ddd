"""Connections: at most one live connection per organisation, with an encrypted key."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

import pytest
from sqlalchemy import select

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import Connection, ConnectionStore, connected_organisations
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ConnectionRow
from mailchimp_pipeline.mailchimp.api_errors import KeyRefused
from mailchimp_pipeline.services.resources import Resources
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.database.builders import (
    ACME,
    API_KEY,
    AT,
    KEYRING,
    MINUTE,
    a_connection,
    an_account,
    start_in_thread,
)

OTHER_KEY = ApiKey.parse("fedcba9876543210fedcba9876543210-us9")


@pytest.fixture
def parts(database: Database) -> Generator[Resources]:
    """Return resources with this database."""
    keys = {"MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": "first:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="}
    with closing(Resources(Settings.from_environment(keys), database)) as made:
        yield made


def live(database: Database, organisation_id: str = ACME) -> Connection | None:
    with database.organisation(organisation_id) as session:
        return ConnectionStore(session, KEYRING).live()


def audit_actions(database: Database) -> list[str]:
    with database.organisation(ACME) as session:
        return [entry.action for entry in reversed(audit_log.entries(session, limit=100).items)]


def test_an_organisation_that_never_connected_has_no_connection_and_no_key(database: Database) -> None:
    with database.organisation(ACME) as session:
        store = ConnectionStore(session, KEYRING)
        assert (store.live(), store.api_key(), store.disconnect(by="alice", at=AT)) == (None, None, None)


def test_a_connection_does_not_show_its_key(database: Database) -> None:
    made = a_connection(database)
    assert live(database) == made
    assert (made.account_name, made.data_center, made.api_key_hint) == ("Acme Ltd", "us6", API_KEY.hint)
    assert API_KEY.reveal() not in repr(made)


def test_the_key_is_stored_encrypted_and_comes_back(database: Database) -> None:
    a_connection(database)
    with database.organisation(ACME) as session:
        stored = session.scalars(select(ConnectionRow.api_key_encrypted)).one()
        assert ConnectionStore(session, KEYRING).api_key() == API_KEY
    assert stored is not None
    assert API_KEY.reveal() not in stored


def test_a_connection_is_nobody_elses(database: Database) -> None:
    a_connection(database)
    assert live(database, "globex") is None


def test_a_new_key_of_the_account_replaces_the_former_and_clears_its_refusal(database: Database) -> None:
    first = a_connection(database)
    with database.organisation(ACME) as session:
        store = ConnectionStore(session, KEYRING)
        store.mark_key_refused(AT)
        second = store.connect(an_account(api_key=OTHER_KEY), by="bob", at=AT + MINUTE)
        assert (second.id, second.key_refused_at, store.api_key()) == (first.id, None, OTHER_KEY)
    assert audit_actions(database) == ["connection.connected", "connection.key_refused", "connection.key_replaced"]


def test_another_account_ends_the_former_connection(database: Database) -> None:
    first = a_connection(database)
    with database.organisation(ACME) as session:
        second = ConnectionStore(session, KEYRING).connect(an_account(account_id="account-2"), by="bob", at=AT)
    assert second.id != first.id
    assert audit_actions(database) == ["connection.connected", "connection.disconnected", "connection.connected"]


def test_disconnecting_keeps_the_connection_as_history_and_forgets_the_key(database: Database) -> None:
    a_connection(database)
    with database.organisation(ACME) as session:
        ended = ConnectionStore(session, KEYRING).disconnect(by="alice", at=AT + MINUTE)
        kept = session.scalars(select(ConnectionRow)).one()
    assert ended is not None
    assert ended.soft_deleted_at == AT + MINUTE
    assert (kept.account_name, kept.api_key_encrypted) == ("Acme Ltd", None)


def test_a_concurrent_disconnect_waits_and_ends_the_new_connection(database: Database) -> None:
    def disconnect() -> Connection | None:
        with database.organisation(ACME) as session:
            return ConnectionStore(session, KEYRING).disconnect(by="bob", at=AT)

    with ThreadPoolExecutor(1) as pool:
        with database.organisation(ACME) as session:
            made = ConnectionStore(session, KEYRING).connect(an_account(), by="alice", at=AT)
            ending = start_in_thread(database, pool, disconnect)
        ended = ending.result()
    assert ended is not None
    assert (ended.id, live(database)) == (made.id, None)


def test_a_consent_rule_set_during_connecting_is_kept(database: Database) -> None:
    def choose() -> Connection | None:
        with database.organisation(ACME) as session:
            return ConnectionStore(session, KEYRING).set_opt_in_only(opt_in_only=True, by="bob", at=AT)

    with ThreadPoolExecutor(1) as pool:
        with database.organisation(ACME) as session:
            ConnectionStore(session, KEYRING).connect(an_account(), by="alice", at=AT)
            choosing = start_in_thread(database, pool, choose)
        chosen = choosing.result()
    assert chosen == live(database)
    assert chosen is not None
    assert chosen.opt_in_only


def test_a_new_key_is_not_marked_for_the_rejection_of_its_predecessor(parts: Resources) -> None:
    notes = parts.key_status_recorder(a_connection(parts.database, keyring=parts.keyring), API_KEY)
    with ThreadPoolExecutor(1) as pool:
        with parts.database.organisation(ACME) as session:
            ConnectionStore(session, parts.keyring).connect(an_account(api_key=OTHER_KEY), by="bob", at=AT)
            noting = start_in_thread(parts.database, pool, partial(notes.refused, KeyRefused("It is revoked.")))
        noting.result()
    connection = live(parts.database)
    assert connection is not None
    assert connection.key_refused_at is None


def test_connected_organisations_are_those_with_a_live_connection(database: Database) -> None:
    for organisation_id in ("globex", ACME, "initech"):
        a_connection(database, organisation_id)
    with database.organisation("initech") as session:
        ConnectionStore(session, KEYRING).disconnect(by="alice", at=AT)
    with database.everyone() as session:
        assert connected_organisations(session) == (ACME, "globex")


def test_the_first_refusal_of_a_key_is_the_one_that_is_kept(database: Database) -> None:
    a_connection(database)
    with database.organisation(ACME) as session:
        store = ConnectionStore(session, KEYRING)
        store.mark_key_refused(AT)
        store.mark_key_refused(AT + MINUTE)
    connection = live(database)
    assert connection is not None
    assert connection.key_refused_at == AT
    assert audit_actions(database).count("connection.key_refused") == 1


def test_an_accepted_key_is_unmarked_with_one_audit_entry(database: Database) -> None:
    a_connection(database)
    with database.organisation(ACME) as session:
        store = ConnectionStore(session, KEYRING)
        store.mark_key_refused(AT)
        for _ in range(2):
            store.clear_key_refused(AT + MINUTE)
    connection = live(database)
    assert connection is not None
    assert connection.key_refused_at is None
    assert audit_actions(database) == ["connection.connected", "connection.key_refused", "connection.key_accepted"]


def test_opt_in_only_is_a_choice_of_the_organisation(database: Database) -> None:
    a_connection(database)
    with database.organisation(ACME) as session:
        store = ConnectionStore(session, KEYRING)
        made, again = (store.set_opt_in_only(opt_in_only=True, by="alice", at=AT) for _ in range(2))
    assert made == again
    assert made is not None
    assert made.opt_in_only
    assert audit_actions(database).count("connection.opt_in_only_set") == 1
