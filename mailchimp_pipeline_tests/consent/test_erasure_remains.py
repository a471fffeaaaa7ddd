"""After an erasure: no table of the whole server, Dagster's included, no log and no file holds the person."""

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import pytest

from mailchimp_pipeline_tests.consent.erasing import ADDRESS, FIRST_NAME, HASH, LAST_NAME
from mailchimp_pipeline_tests.consent.whole import ENTITY_ID, Places, a_whole, tables

PERSON = (ADDRESS, FIRST_NAME, LAST_NAME, HASH, ADDRESS.encode().hex())


@dataclass(frozen=True)
class Aftermath:
    """Where the person and its id stood before the erasure, and where they stand after it."""

    before: Places
    after: Places
    printed: str


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Play it through: synced, asked for, erased while Mailchimp is away, carried on with, synced again."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), a_whole(tmp_path_factory.mktemp("hr")) as whole:
        office, entity = whole.office, {"entityId": ENTITY_ID, "entityType": "employee"}
        segment = office.segment()
        whole.sync(segment)
        said = {**entity, "optedIn": True, "consentSource": "form"}
        for path, value in (("updateOptStatus", said), ("export", entity)):
            assert office.tenant.mutate(f"preferences.{path}", value).status == 200
        whole.analyze()
        before = whole.places(*PERSON, ENTITY_ID)
        office.sandbox.start_outage()
        assert office.erase(entity)["status"] == "pending"
        office.sandbox.end_outage()
        whole.retry_pending()
        whole.sync(segment)
        return Aftermath(before, whole.places(*PERSON, ENTITY_ID), printed.getvalue())


def test_before_the_erasure_the_person_is_found_where_it_is_known_to_be(aftermath: Aftermath) -> None:
    assert {"segment_members", "audience_members", "email_preferences"} <= tables(aftermath.before, HASH)
    assert "segment_members" in tables(aftermath.before, LAST_NAME)
    assert "pg_statistic" not in tables(aftermath.before, HASH) | tables(aftermath.before, LAST_NAME)


@pytest.mark.parametrize("trait", PERSON)
def test_after_it_no_table_no_log_and_no_file_holds_the_person(aftermath: Aftermath, trait: str) -> None:
    assert tables(aftermath.after, trait) == set()
    assert trait.lower() not in aftermath.printed.lower()


def test_the_id_in_the_source_stays_in_the_audit_log_alone(aftermath: Aftermath) -> None:
    assert tables(aftermath.after, ENTITY_ID) == {"audit_log", "pg_statistic"}
