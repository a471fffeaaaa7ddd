"""Pagination over many rows uses an index, and neither reads nor sorts the rows before the page."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event, text

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.audit_log import Entity
from mailchimp_pipeline.database.campaign_store import CampaignStore
from mailchimp_pipeline.database.paging import Page
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline_tests.api.procedures.stage import Tenant

AN_ID = "00000000-0000-4000-8000-000000000000"

_FILLING = """
create temporary table places as
    select organisation, number, timestamptz '2026-01-01' + number * interval '1 minute' as at
    from generate_series(1, 10000) as number, unnest(array['acme', 'other']) as organisation;
insert into contact_segments
    (organisation_id, name, segment_type, mailchimp_list_id, status_changed_at, created_at, updated_at)
    select organisation, 'Everybody', 'mixed', 'a1b2c3d4e5', at, at, at from places;
insert into email_preferences
    (organisation_id, entity_type, entity_id, opted_in, consent_given_at, consent_source, updated_at, statement_id)
    select organisation, 'employee', number, true, at, 'form', at, number from places;
insert into campaign_tracking (organisation_id, mailchimp_campaign_id, title, status, created_at)
    select organisation, number, 'News', 'draft', at from places;
insert into audit_log (organisation_id, actor, action, entity_type, entity_id, at)
    select organisation, 'alice', 'segment.updated', 'segment', mod(number, 7), at from places;
drop table places;
analyze
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list procedure and the index that serves it."""

    index: str
    read: Callable[[OrganisationSession, str | None], Page[Any]]


LISTINGS = {
    "segments": Listing(
        "ix_contact_segments_newest", lambda session, cursor: SegmentStore(session).list(limit=20, cursor=cursor)
    ),
    "campaigns": Listing(
        "ix_campaign_tracking_newest", lambda session, cursor: CampaignStore(session).list(limit=20, cursor=cursor)
    ),
    "preferences": Listing(
        "ix_email_preferences_newest",
        lambda session, cursor: PreferenceStore(session).list(limit=20, cursor=cursor),
    ),
    "audit": Listing(
        "ix_audit_log_newest", lambda session, cursor: audit_log.entries(session, limit=20, cursor=cursor)
    ),
    "audit of one segment": Listing(
        "ix_audit_log_entity",
        lambda session, cursor: audit_log.entries(session, limit=20, cursor=cursor, entity=Entity("segment", "3")),
    ),
}


@pytest.fixture
def filled(database: Database) -> Database:
    """Return a database with many rows of two organisations."""
    with database.unrestricted() as connection, connection.begin():
        for statement in _FILLING.split(";"):
            connection.execute(text(statement))
    return database


def plan(session: OrganisationSession, read: Callable[[], object]) -> list[dict[str, Any]]:
    """Return the nodes of the query plan of the last statement of `read`, outermost first."""
    asked: list[tuple[str, Any]] = []
    connection = session.connection()

    def note(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", note)
    read()
    event.remove(connection, "before_cursor_execute", note)
    statement, parameters = asked[-1]
    explained = connection.exec_driver_sql(f"explain (analyze, format json) {statement}", parameters).scalar_one()
    nodes = [explained[0]["Plan"]]
    for node in nodes:
        nodes += node.get("Plans", [])
    return nodes


@pytest.mark.parametrize("name", LISTINGS)
def test_a_page_far_down_is_read_from_the_index_at_its_place(filled: Database, name: str) -> None:
    listing = LISTINGS[name]
    with filled.organisation("acme") as session:
        page = listing.read(session, None)
        for _ in range(30):
            page = listing.read(session, page.next_cursor)
        nodes = plan(session, lambda: listing.read(session, page.next_cursor))
    # PostgreSQL evaluates the row policy once, since the query names the organisation.
    assert [node["Node Type"] for node in nodes] == ["Limit", "Result", "Index Scan"]
    assert (nodes[2]["Index Name"], nodes[2]["Actual Rows"]) == (listing.index, 21)
    assert nodes[2].get("Rows Removed by Filter", 0) == 0


def a_cursor(content: str) -> str:
    return base64.urlsafe_b64encode(content.encode()).decode()


@pytest.mark.parametrize(
    ("path", "cursor"),
    [
        ("segments", "nothing"),
        ("segments", "ä"),
        ("segments", a_cursor("yesterday 1")),
        ("segments", a_cursor(f"2026-03-01T05:00:00 {AN_ID}")),
        ("segments", a_cursor("2026-03-01T05:00:00+00:00 1")),
        ("preferences", a_cursor("2026-03-01T05:00:00+00:00 customer/1")),
        ("preferences", a_cursor("2026-03-01T05:00:00+00:00 employee/a\0b")),
        ("audit", a_cursor(f"2026-03-01T05:00:00+00:00 {10**30}")),
        ("audit", a_cursor("2026-03-01T05:00:00+00:00 -1")),
    ],
)
def test_a_cursor_that_no_page_gave_is_refused(tenant: Tenant, path: str, cursor: str) -> None:
    error = tenant.query(f"{path}.list", {"cursor": cursor}).error
    assert error["data"]["code"] == "BAD_REQUEST"
    assert list(error["data"]["zodError"]["fieldErrors"]) == ["cursor"]


def test_a_cursor_shows_nothing_that_a_url_would_have_to_escape(tenant: Tenant) -> None:
    tenant.add_employees(*({"id": f"ä/{number}?&"} for number in range(3)))
    for number in range(3):
        said = {"entityId": f"ä/{number}?&", "entityType": "employee", "optedIn": True, "consentSource": "form"}
        tenant.mutate("preferences.updateOptStatus", said)
    cursor: str = tenant.query("preferences.list", {"limit": 1}).data["nextCursor"]
    assert cursor.replace("-", "").replace("_", "").isalnum()
    second = tenant.query("preferences.list", {"limit": 1, "cursor": cursor}).data
    assert json.dumps(second["items"][0]["entityId"]) == '"\\u00e4/1?&"'
