"""Query plans: PostgreSQL reads each contact a few times at any table size, and has no statistics on personal data."""

from collections.abc import Iterator, Mapping
from typing import Any, LiteralString, cast

import pytest
from psycopg import sql
from sqlalchemy import text

from mailchimp_pipeline.consent.decision import SUPPRESSED_ADDRESSES, SUPPRESSED_MEMBERS
from mailchimp_pipeline.database import ledger_sql
from mailchimp_pipeline.database.bulk import text_array
from mailchimp_pipeline.database.contact_data import CONTACTS_WITH_ADDRESS
from mailchimp_pipeline.database.erased_contacts import ErasedAmong
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.session import Database, driver_connection
from mailchimp_pipeline.database.tables import (
    AudienceMemberRow,
    ConsentStatementRow,
    PreferenceRow,
    RejectedContactRow,
    SegmentMemberRow,
)
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import MemberRef, MemberStatus
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, a_member, a_segment, put_members

PEOPLE = 2000
A_FEW = 40

# Enough rows that the indexes of other organisations are deeper than those of a new one.
_GIANT = """
insert into segment_members select 'giant', :segment, 'giants', md5('g' || n), 'employee', n::text, n || '@giant.test',
    'Ann', null, 'digest' from generate_series(1, 30000) as n;
insert into audience_members (organisation_id, mailchimp_list_id, subscriber_hash, email, entity_type, entity_id,
    digest, status, contact_id, pushed_at, changed_at)
select 'giant', 'giants', md5('g' || n), n || '@giant.test', 'employee', n::text, 'digest', 'subscribed',
    n::text, now(), now() from generate_series(1, 30000) as n;
insert into rejected_contacts select 'giant', 'giants', md5('g' || n), 'employee', n::text, 'looks_fake', true,
    'digest', '', 1, now(), now(), null from generate_series(1, 3000) as n;
insert into consent_statements (organisation_id, entity_type, entity_id, subscriber_hash, opted_in, source, stated_at,
    recorded_at)
select 'giant', 'employee', n::text, md5('g' || n), false, 'form', now(), now() from generate_series(1, 3000) as n;
insert into email_preferences select 'giant', 'employee', n::text, md5('g' || n), false, null, now(), 'form', now(), n
    from generate_series(1, 3000) as n;
"""

_IN_SEGMENT = {"hashes": "", "after": "", "through": "~"}


@pytest.fixture
def segment(database: Database) -> Segment:
    """Return a segment of a new organisation beside a large, older one."""
    giant = a_segment(database, "giant", list_id="giants")
    with database.unrestricted() as connection, connection.begin():
        for statement in _GIANT.split(";")[:-1]:
            connection.execute(text(statement), {"segment": giant.id} if ":segment" in statement else {})
        connection.execute(text("analyze"))
    pushed, new = a_segment(database), a_segment(database)
    put_members(database, pushed, *people("p", 0))
    ledger = DatabaseLedger(database, KEYRING, ACME, LIST, lambda: AT)
    ledger.finish_reading(AT)
    for piece in ledger.compare(pushed.id):
        keys = piece.differences["subscriber_hash"]
        ledger.record_accepted(piece.differences, {key: MemberRef(key) for key in keys}, MemberStatus.SUBSCRIBED, AT)
    put_members(database, new, *people("n", PEOPLE))
    with database.organisation(ACME) as session:
        for statement in _OPTED_OUT.split(";"):
            session.execute(text(statement), {"organisation_id": ACME, "people": PEOPLE})
    return new


# Contacts other than the members, each twice.
_OPTED_OUT = """
insert into consent_statements (organisation_id, entity_type, entity_id, subscriber_hash, opted_in, source, stated_at,
    recorded_at)
select :organisation_id, 'employee', n::text, md5('x' || n), false, 'form', now(), now()
from generate_series(1, :people) as n, generate_series(1, 2);
insert into email_preferences select :organisation_id, 'employee', n::text, md5('x' || n), false, null, now(), 'form',
    now(), n from generate_series(1, :people) as n
"""


def people(prefix: str, first_id: int) -> list[dict[str, str | None]]:
    return [a_member(f"{prefix}{number}@acme.test", entity_id=str(first_id + number)) for number in range(PEOPLE)]


def touched(node: dict[str, Any]) -> Iterator[float]:
    """Yield the number of rows that each node of a plan read."""
    looked_at = node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0) + node.get("Rows Removed by Filter", 0)
    yield (looked_at + node.get("Rows Removed by Index Recheck", 0)) * node["Actual Loops"]
    for step in node.get("Plans", []):
        yield from touched(step)


def touched_by(database: Database, query: sql.SQL | LiteralString, parameters: Mapping[str, object]) -> float:
    statement = sql.SQL(query) if isinstance(query, str) else query
    with database.organisation(ACME) as session:
        explained = sql.SQL("explain (analyze, format json) ") + statement
        ((plan,),) = driver_connection(session).execute(explained, parameters).fetchall()
    return sum(touched(cast("list[dict[str, Any]]", plan)[0]["Plan"]))


@pytest.mark.parametrize(
    "statement",
    [
        ledger_sql.contacts_in_range(ledger_sql.WANTED_COLUMNS, shared=True),
        ledger_sql.contacts_in_range(ledger_sql.WANTED_COLUMNS, shared=False),
        ledger_sql.contacts_in_range(ledger_sql.CONTACT_COLUMNS, shared=True),
        ledger_sql.contacts_in_range(ledger_sql.CONTACT_COLUMNS, shared=True, some=True),
        ledger_sql.KNOWN,
        ledger_sql.KNOWN_OF_SEGMENT,
        ledger_sql.TO_UNSUBSCRIBE,
        ledger_sql.TO_UNSUBSCRIBE_IN_AUDIENCE,
        ledger_sql.LEAVERS,
        SUPPRESSED_ADDRESSES,
        SUPPRESSED_MEMBERS,
    ],
)
def test_a_segment_is_read_in_linear_time(
    database: Database, segment: Segment, statement: sql.SQL | LiteralString
) -> None:
    parameters = {"organisation_id": ACME, "list_id": LIST, "segment_id": segment.id, **_IN_SEGMENT}
    assert touched_by(database, statement, {**parameters, **ErasedAmong().parameters()}) < A_FEW * PEOPLE


@pytest.mark.parametrize(
    "statement",
    [
        ledger_sql.STATES,
        ledger_sql.RECHECK,
        ledger_sql.MOVE_ADDRESSES,
        ledger_sql.DEPARTURES,
        ledger_sql.RETURNS,
        ledger_sql.WITHDRAWALS,
        ledger_sql.RECORD_STATES,
        ledger_sql.FORGET_REJECTIONS,
    ],
)
@pytest.mark.parametrize("status", ["subscribed", "unsubscribed", "pending"])
def test_contacts_are_looked_up_one_by_one(
    database: Database, segment: Segment, statement: sql.SQL, status: str
) -> None:
    everybody = people("n", PEOPLE)
    keys = text_array([member["subscriber_hash"] for member in everybody])
    given: dict[str, object] = {
        "keys": keys,
        "entity_types": text_array(["employee"] * PEOPLE),
        "entity_ids": text_array([member["entity_id"] for member in everybody]),
        "hashes": keys,
        "statuses": [status] * PEOPLE,
        "changed": [AT] * PEOPLE,
        "contact_ids": [str(number) for number in range(PEOPLE)],
        "member_ids": [None] * PEOPLE,
        "channels": [None] * PEOPLE,
        **ErasedAmong().parameters(),
    }
    parameters = {"organisation_id": ACME, "list_id": LIST, "segment_id": segment.id, **given, "at": AT}
    assert touched_by(database, statement, parameters) < A_FEW * PEOPLE


@pytest.mark.usefixtures("segment")
def test_the_contacts_with_an_address_are_found_without_reading_the_others(database: Database) -> None:
    wanted = {"organisation_id": ACME, "subscriber_hash": people("p", 0)[0]["subscriber_hash"]}
    assert 0 < touched_by(database, CONTACTS_WITH_ADDRESS, wanted) < A_FEW


@pytest.mark.usefixtures("segment")
@pytest.mark.parametrize(
    "row", [SegmentMemberRow, AudienceMemberRow, PreferenceRow, ConsentStatementRow, RejectedContactRow]
)
def test_postgresql_has_no_statistics_on_personal_data_or_organisations(database: Database, row: type[Any]) -> None:
    sampled = "select attname from pg_stats where schemaname = 'public' and tablename = :table"
    with database.unrestricted() as connection:
        columns = set(connection.scalars(text(sampled), {"table": row.__tablename__}))
    without_personal_data = {
        "entity_type",
        "status",
        "leaving",
        "opted_in",
        "consent_source",
        "source",
        "channel",
        "reason",
    }
    without_personal_data |= {"is_final", "merge_fields", "attempts", "statement_id", "id"}
    assert {name for name in columns if not name.endswith(("_at", "_through"))} <= without_personal_data
