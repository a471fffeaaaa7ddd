"""The audit log: latest first, in pages, append-only."""

from contextlib import suppress

import pytest
from sqlalchemy import text

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.paging import CursorInvalid
from mailchimp_pipeline.database.session import Database, StatementRefused
from mailchimp_pipeline_tests.database.builders import ACME, AT


def write(database: Database, *actions: str, organisation_id: str = ACME, entity_id: str = "1") -> None:
    with database.organisation(organisation_id) as session:
        for action in actions:
            audit_log.write(
                session, audit_log.Entry("alice", action, audit_log.Entity("segment", entity_id), AT, {"count": 1})
            )
            session.flush()


def test_entries_come_newest_first_even_at_one_time(database: Database) -> None:
    write(database, "first", "second")
    with database.organisation(ACME) as session:
        page = audit_log.entries(session, limit=10)
    assert [entry.action for entry in page.items] == ["second", "first"]
    assert page.items[0].details == {"count": 1}
    assert page.next_cursor is None


def test_pages_keep_their_place_while_entries_are_written(database: Database) -> None:
    write(database, "first", "second", "third")
    with database.organisation(ACME) as session:
        page = audit_log.entries(session, limit=2)
    write(database, "fourth")
    with database.organisation(ACME) as session:
        rest = audit_log.entries(session, limit=2, cursor=page.next_cursor)
    assert [entry.action for entry in (*page.items, *rest.items)] == ["third", "second", "first"]


def test_entries_of_one_entity_and_organisation_only(database: Database) -> None:
    write(database, "mine")
    write(database, "other", entity_id="2")
    write(database, "foreign", organisation_id="globex")
    with database.organisation(ACME) as session:
        page = audit_log.entries(session, limit=10, entity=audit_log.Entity("segment", "1"))
    assert [entry.action for entry in page.items] == ["mine"]


@pytest.mark.parametrize(
    "statement", ["update audit_log set actor = 'x'", "delete from audit_log", "truncate audit_log"]
)
def test_entries_cannot_be_changed(database: Database, statement: str) -> None:
    write(database, "first")
    with pytest.raises(StatementRefused, match="audit_log is append-only"), database.unrestricted() as connection:
        connection.execute(text(statement))
    with pytest.raises(StatementRefused, match="permission denied"), database.organisation(ACME) as session:
        session.execute(text(statement))


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "bm8gdGltZSAx", "MjAyNi0wMy0wMVQwNTowMDowMCAx", "é"])
def test_an_invalid_cursor_is_rejected(database: Database, cursor: str) -> None:
    with pytest.raises(CursorInvalid), database.organisation(ACME) as session:
        audit_log.entries(session, limit=1, cursor=cursor)


def test_an_entry_is_rolled_back_with_its_change(database: Database) -> None:
    with suppress(KeyError), database.organisation(ACME) as session:
        audit_log.write(session, audit_log.Entry("alice", "first", audit_log.Entity("segment", "1"), AT))
        raise KeyError
    with database.organisation(ACME) as session:
        assert audit_log.entries(session, limit=1).items == ()
