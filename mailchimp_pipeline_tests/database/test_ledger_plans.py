"""How PostgreSQL finds what differs: it touches each contact a few times, also where it has no statistics yet."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from psycopg import sql

from mailchimp_pipeline.database.bulk import driver_connection
from mailchimp_pipeline.database.ledger import DatabaseLedger, statements
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import MemberOutcome, MemberStatus, Outcome
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, a_member, a_segment, put_members

PEOPLE = 2000
A_FEW = 30


def people(prefix: str, first_id: int) -> list[dict[str, str | None]]:
    return [a_member(f"{prefix}{number}@acme.test", entity_id=str(first_id + number)) for number in range(PEOPLE)]


def two_segments(database: Database) -> Segment:
    """Return a segment of people who are new to an audience that has others already."""
    pushed, new = a_segment(database), a_segment(database)
    put_members(database, pushed, *people("p", 0))
    ledger = DatabaseLedger(database, ACME, LIST, lambda: AT, keyring=KEYRING)
    for piece in ledger.differences(pushed.id):
        outcomes = [MemberOutcome(key, Outcome.PUSHED, MemberStatus.SUBSCRIBED) for key in piece["subscriber_hash"]]
        ledger.record(piece, outcomes)
    put_members(database, new, *people("n", PEOPLE))
    return new


def touched(node: dict[str, Any]) -> Iterator[float]:
    """Yield how many rows each step of a plan looked at."""
    looked_at = node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0) + node.get("Rows Removed by Filter", 0)
    yield looked_at * node["Actual Loops"]
    for step in node.get("Plans", []):
        yield from touched(step)


def lookups(node: dict[str, Any]) -> Iterator[str]:
    """Yield by what a plan looks up members of the audience."""
    if node.get("Relation Name") == "audience_members":
        yield node.get("Index Cond", "")
    for step in node.get("Plans", []):
        yield from lookups(step)


@pytest.mark.parametrize(
    ("statement", "columns"),
    [
        (statements.COUNTS, {"subscriber_hash"}),
        (statements.DIFFERENCES, {"subscriber_hash", "entity_id"}),
        (statements.MOVE_THERE, {"subscriber_hash", "contact_id"}),
    ],
    ids=["counts", "differences", "move"],
)
def test_an_audience_that_is_empty_yet_is_searched_by_the_contact(
    database: Database, statement: sql.Composed, columns: set[str]
) -> None:
    # It fills while it is searched: by the organisation alone, each contact would cost all who came meanwhile.
    segment = a_segment(database)
    put_members(database, segment, *people("n", 0))
    given = {"segment_id": segment.id, "after": "", "through": "~", "at": AT}
    seen = {"hashes": ["0" * 32], "statuses": ["subscribed"], "changed": [AT], "contact_ids": ["1"]}
    parameters = {"organisation_id": ACME, "list_id": LIST, **given, **seen}
    explained = sql.SQL("explain (format json) ") + statement
    with database.organisation(ACME) as session:
        ((plan,),) = driver_connection(session).execute(explained, parameters).fetchall()
    conditions = " ".join(lookups(cast("list[dict[str, Any]]", plan)[0]["Plan"]))
    assert {column for column in columns if column in conditions} == columns


@pytest.mark.parametrize("statement", [statements.COUNTS, statements.DIFFERENCES], ids=["counts", "differences"])
def test_no_contact_is_compared_with_all_others(database: Database, statement: sql.Composed) -> None:
    segment = two_segments(database)
    parameters = {"organisation_id": ACME, "list_id": LIST, "segment_id": segment.id}
    explained = sql.SQL("explain (analyze, format json) ") + statement
    with database.organisation(ACME) as session:
        bounds = {"after": statements.FIRST, "through": statements.LAST}
        ((plan,),) = driver_connection(session).execute(explained, parameters | bounds).fetchall()
    assert sum(touched(cast("list[dict[str, Any]]", plan)[0]["Plan"])) < A_FEW * 2 * PEOPLE
