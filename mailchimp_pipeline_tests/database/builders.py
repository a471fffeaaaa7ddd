"""Rows and values for database tests."""

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pandas as pd
from sqlalchemy import text

from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.consent import ConsentStatement
from mailchimp_pipeline.contacts import ARROW_STRING, EntityType, subscriber_hash
from mailchimp_pipeline.database.connection_store import Account, Connection, ConnectionStore
from mailchimp_pipeline.database.consent_statements import record_statements
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.segment_member_store import MemberChange, MemberStore
from mailchimp_pipeline.database.segment_store import NewSegment, SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.segments import OnLeave, Segment, SegmentType, Suppressions
from mailchimp_pipeline_tests.populations import suppressing

T = TypeVar("T")

ACME = "acme"
LIST = "a1b2c3d4e5"
AT = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
KEYRING = Keyring({"first": b"1" * 32})
API_KEY = ApiKey.parse("0123456789abcdef0123456789abcdef-us6")


def an_account(*, account_id: str = "account-1", name: str = "Acme Ltd", api_key: ApiKey = API_KEY) -> Account:
    return Account(account_id, name, api_key)


def a_connection(database: Database, organisation_id: str = ACME, keyring: Keyring = KEYRING) -> Connection:
    account = an_account() if organisation_id == ACME else an_account(account_id=f"account of {organisation_id}")
    with database.organisation(organisation_id) as session:
        return ConnectionStore(session, keyring).connect(account, by="alice", at=AT)


def a_segment(
    database: Database,
    organisation_id: str = ACME,
    *,
    name: str = "Everybody",
    list_id: str = LIST,
    at: datetime = AT,
) -> Segment:
    new = NewSegment(name, SegmentType.MIXED, list_id)
    with database.organisation(organisation_id) as session:
        return SegmentStore(session).create(new, by="alice", at=at)


def start_in_thread(database: Database, pool: Executor, do: Callable[[], T]) -> "Future[T]":
    """Start a function in a thread. Return once it has ended, or waits for a lock of the calling transaction."""
    waiting = text(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    )
    doing = pool.submit(do)
    with database.unrestricted() as connection:
        while not doing.done() and not connection.scalar(waiting):
            connection.rollback()
            time.sleep(0.01)
    return doing


def a_member(
    email: str = "ann@acme.test",
    *,
    entity_type: str = "employee",
    entity_id: str = "1",
    first_name: str | None = "Ann",
    last_name: str | None = "Lee",
) -> dict[str, str | None]:
    return {
        "subscriber_hash": subscriber_hash(email),
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "entity_type": entity_type,
        "entity_id": entity_id,
    }


def members(*rows: dict[str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(a_member()), dtype=ARROW_STRING)


def put_members(
    database: Database,
    segment: Segment,
    *rows: dict[str, str | None],
    suppressions: Suppressions | None = None,
    departures_confirmed: bool = False,
    on_leave: OnLeave = OnLeave.KEEP,
) -> MemberChange:
    with database.organisation(segment.organisation_id) as session:
        return MemberStore(session).replace(
            replace(segment, on_leave=on_leave),
            members(*rows),
            suppressions or suppressing(),
            departures_confirmed=departures_confirmed,
        )


def a_ledger(
    database: Database, organisation_id: str = ACME, *, list_id: str = LIST, piece: int = 10_000
) -> DatabaseLedger:
    """Return the ledger of an audience with a clock that always returns `AT`."""
    return DatabaseLedger(database, KEYRING, organisation_id, list_id, lambda: AT, compared_at_once=piece)


def record_preference(
    database: Database, entity_id: str, *, opted_in: bool, at: datetime = AT, address: str | None = None
) -> None:
    """Record a statement of an acme employee, optionally for one address (a subscriber hash)."""
    contact = EntityType.EMPLOYEE, entity_id
    statement = ConsentStatement(opted_in, "letter", at, contact, address)
    with database.organisation(ACME) as session:
        record_statements(session, KEYRING, [statement], by="alice", at=at)
