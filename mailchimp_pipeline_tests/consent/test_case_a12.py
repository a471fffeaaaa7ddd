"""Case A12: nothing that an erasure does not reach holds an address, whatever a caller and the source are named by.

The source has a contact whose id is an e-mail address, and the same person signs in with it.
"""

from collections.abc import Generator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

import pytest

from api.procedures.registry import PROCEDURES
from api.trpc import Kind
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline_tests.api.procedures.examples import an_input
from mailchimp_pipeline_tests.api.procedures.stage import NO_INPUT, Tenant
from mailchimp_pipeline_tests.consent.erasing import ADDRESS, FIRST_NAME, HASH, LAST_NAME
from mailchimp_pipeline_tests.consent.whole import Places, Whole, a_whole, tables

ENTITY = {"entityId": ADDRESS, "entityType": "employee"}
PERSON = (ADDRESS, FIRST_NAME, LAST_NAME, HASH)
FULL_WIDTH = ADDRESS.replace("@", "\N{FULLWIDTH COMMERCIAL AT}")

_LATER = {"connection.disconnect": 1, "connection.connect": 2, "preferences.gdprDelete": 3}
"""The organisation disconnects and connects again after the other calls, and the erasure comes last."""


@dataclass(frozen=True)
class Play:
    """Everything that the API does, done by a caller whose tokens hold an address, to a contact whose id is one."""

    before: Places
    after: Places
    printed: str
    entries: list[dict[str, Any]]
    entries_of_contact: list[dict[str, Any]]
    actor: str


def call_everything(tenant: Tenant) -> None:
    """Call each procedure, for the contact where it takes one."""
    for procedure in sorted(PROCEDURES, key=lambda each: _LATER.get(each.path.removeprefix("mailchimp."), 0)):
        path, value = procedure.path.removeprefix("mailchimp."), an_input(tenant, procedure)
        if value is not NO_INPUT and "entityId" in value:
            value = value | ENTITY
        call = tenant.mutate if procedure.kind is Kind.MUTATION else tenant.query
        assert call(path, value).status == 200, path


def state(tenant: Tenant, *, opted_in: bool) -> None:
    said = {**ENTITY, "optedIn": opted_in, "consentSource": "form"}
    assert tenant.mutate("preferences.updateOptStatus", said).status == 200


def a_segment(whole: Whole, tenant: Tenant) -> Segment:
    made = tenant.create().data["id"]
    with whole.office.parts.database.organisation(tenant.organisation_id) as session:
        segment = SegmentStore(session).get(made)
    assert segment is not None
    return segment


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Generator[Whole]:
    with a_whole(tmp_path_factory.mktemp("hr"), entity_id=ADDRESS) as running:
        yield running


@pytest.fixture(scope="module")
def play(whole: Whole) -> Play:
    printed = StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        tenant = replace(whole.office.tenant, actor=ADDRESS.upper())
        segment = a_segment(whole, tenant)
        state(tenant, opted_in=True)
        whole.sync(segment)
        before = whole.places(*PERSON)
        call_everything(tenant)
        entries = tenant.query("audit.list", {"limit": 100}).data["items"]
        of_contact = tenant.query("audit.list", {**ENTITY, "limit": 100}).data["items"]
        whole.retry_pending()
        whole.analyze()
        (actor,) = audit_log.actor_names(whole.office.parts.keyring, tenant.organisation_id, tenant.actor)
        return Play(before, whole.places(*PERSON), printed.getvalue(), entries, of_contact, actor)


def test_before_the_erasure_the_person_is_found_where_it_is_known_to_be(play: Play) -> None:
    assert {"segment_members", "email_preferences", "consent_statements"} <= tables(play.before, ADDRESS)
    assert "audit_log" not in tables(play.before, ADDRESS)


@pytest.mark.parametrize("trait", PERSON)
def test_after_the_erasure_no_table_no_log_and_no_file_holds_the_person(play: Play, trait: str) -> None:
    assert tables(play.after, trait) == set()
    assert trait.lower() not in play.printed.lower()


def test_the_audit_log_tells_what_the_same_caller_did_under_one_name(play: Play) -> None:
    assert {"segment.created", "contact.exported", "erasure.requested"} <= {
        entry["action"] for entry in play.entries if entry["actor"] == play.actor
    }
    assert play.actor.startswith("user-")
    assert {entry["actor"] for entry in play.entries} == {play.actor, "alice", audit_log.PIPELINE}


def test_the_entries_of_the_contact_are_found_by_its_id(play: Play) -> None:
    assert [entry["action"] for entry in play.entries_of_contact] == [
        "contact.exported",
        "preference.opted_out",
        "preference.opted_in",
    ]


def test_an_unknown_id_is_told_to_be_unknown_and_written_down_nowhere(whole: Whole) -> None:
    tenant, unknown = whole.office.tenant, "nobody.atall@elsewhere.test"
    entity = {**ENTITY, "entityId": unknown}
    for path, value in (
        ("preferences.updateOptStatus", {**entity, "optedIn": False, "consentSource": "form"}),
        ("preferences.export", entity),
        ("preferences.gdprDelete", entity),
    ):
        assert tenant.mutate(path, value).error["data"]["code"] == "NOT_FOUND"
    assert tables(whole.places(unknown), unknown) == set()


def test_with_an_unreadable_source_an_unknown_id_is_written_down_as_a_keyed_hash(whole: Whole) -> None:
    tenant, unknown = whole.office.tenant, "away.now@elsewhere.test"
    file = tenant.stage.files / "employees.csv"
    away = file.rename(file.with_suffix(".away"))
    try:
        assert tenant.mutate("preferences.export", {**ENTITY, "entityId": unknown}).status == 200
    finally:
        away.rename(file)
    assert tables(whole.places(unknown), unknown) == set()
    assert tenant.audit_actions()[0] == "contact.exported"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("segments.create", {"name": f"For {ADDRESS}"}),
        ("segments.create", {"name": FULL_WIDTH}),
        ("segments.create", {"name": "Zeb", "description": f"Ask <{ADDRESS}>"}),
        ("segments.create", {"name": "Zeb", "filterCriteria": {"department": ["Sales", ADDRESS]}}),
        ("preferences.updateOptStatus", {**ENTITY, "optedIn": False, "consentSource": FULL_WIDTH}),
    ],
)
def test_a_text_that_is_kept_for_good_holds_no_address(whole: Whole, path: str, value: dict[str, Any]) -> None:
    tenant = whole.office.tenant
    more = {"segmentType": "mixed", "mailchimpListId": tenant.list_id} if path == "segments.create" else {}
    refused = tenant.mutate(path, more | value)
    assert refused.error["data"]["code"] == "BAD_REQUEST"
    assert "an e-mail address must not be stored here" in str(refused.error["data"]["zodError"])


@pytest.mark.parametrize("name", ["Staff @ Berlin", "@staff", "a@b"])
def test_a_sign_alone_is_no_address(whole: Whole, name: str) -> None:
    assert whole.office.tenant.create(name=name).status == 200
