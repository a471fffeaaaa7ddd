"""Erasure end to end: the API over HTTP, the database, and the sandbox as Mailchimp."""

import pytest

from api.trpc import Role
from mailchimp_pipeline.consent import ConsentStatement
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.consent_statements import record_statements
from mailchimp_pipeline.database.erasure_store import ErasureStore
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.erasure import ErasureStatus
from mailchimp_pipeline.services.resources import open_resources
from mailchimp_pipeline_tests.api.procedures.stage import Stage, settings_for
from mailchimp_pipeline_tests.consent.erasing import (
    ADDRESS,
    CONTACT,
    ENTITY,
    HASH,
    Office,
    a_sync_held_at_its_batch,
    an_office,
    word,
)
from sandbox import Fault, FaultKind, Seed, Status

NEW_ADDRESS = "zeb@new-home.test"
DELETION = "/lists/{list_id}/members/{subscriber_hash}/actions/delete-permanent"


def opt_out_at_address(office: Office, entity_id: str) -> None:
    at = office.parts.erasures().clock()
    contact = (EntityType.EMPLOYEE, entity_id)
    statement = ConsentStatement(opted_in=False, source="form", stated_at=at, contact=contact, subscriber_hash=HASH)
    with office.parts.database.organisation(office.organisation_id) as session:
        record_statements(session, office.parts.keyring, [statement], by="alice", at=at)


def test_only_an_administrator_may_erase(office: Office) -> None:
    refused = office.tenant.mutate("preferences.gdprDelete", ENTITY, role=Role.EDITOR)
    assert (refused.status, office.pending()) == (403, [])


def test_an_erased_contact_is_gone_here_and_in_every_audience(office: Office) -> None:
    word(office, opted_in=True)
    office.sync(office.segment(0), office.segment(1))
    answer = office.erase()
    assert answer == {**ENTITY, "status": "completed", "audiences": 2}
    assert [office.there(place) for place in range(3)] == [None, None, None]
    assert HASH not in office.known()
    assert office.tenant.query("preferences.getForEntity", ENTITY).data is None


def test_nobody_else_is_erased(office: Office) -> None:
    segment = office.segment()
    office.sync(segment)
    office.erase()
    assert [member.email_address for member in office.sandbox.members(office.lists[0])] == [
        f"person2@{office.organisation_id}.test"
    ]
    assert office.sync(segment)[0].error is None


@pytest.mark.parametrize("status", [Status.PENDING, Status.CLEANED, Status.ARCHIVED, Status.UNSUBSCRIBED])
def test_whatever_the_contact_is_to_an_audience_it_is_deleted_there(office: Office, status: Status) -> None:
    office.sandbox.add_members(office.lists[2], [Seed(email_address=ADDRESS, status=status)])
    assert office.erase() == {**ENTITY, "status": "completed", "audiences": 1}
    assert office.there(2) is None


def test_neither_the_next_sync_nor_a_new_segment_brings_an_erased_contact_back(office: Office) -> None:
    segment = office.segment()
    office.sync(segment)
    office.erase()
    results = office.sync(segment, office.segment(1, "Another"))
    assert [result.error for result in results] == [None, None]
    assert [office.there(place) for place in range(3)] == [None, None, None]
    assert HASH not in office.known()


def test_an_opt_in_lifts_the_erasure_and_the_audit_log_says_so(office: Office) -> None:
    office.erase()
    word(office, opted_in=True)
    office.sync(office.segment(1))
    member = office.there(1)
    assert member is not None
    assert member.status is Status.SUBSCRIBED
    logged = [entry["action"] for entry in office.tenant.query("audit.list").data["items"] if entry["entityId"] == "1"]
    assert logged == ["erasure.lifted", "preference.opted_in"]


def test_what_another_contact_said_outlives_the_erasure_without_the_address(office: Office) -> None:
    opt_out_at_address(office, "2")
    office.erase()
    with office.parts.database.organisation(office.organisation_id) as session:
        left = PreferenceStore(session).get(EntityType.EMPLOYEE, "2")
    assert left is not None
    assert not left.opted_in


def test_asked_for_twice_it_is_one_erasure_and_the_audit_log_says_so(office: Office) -> None:
    office.sync(office.segment())
    assert [office.status(), office.status()] == ["completed", "completed"]
    with office.parts.database.organisation(office.organisation_id) as session:
        requests = ErasureStore(session, office.parts.keyring).of(*CONTACT)
    assert len(requests) == 1
    told = [action for action in office.tenant.audit_actions() if action.startswith("erasure.")]
    assert told == ["erasure.completed", "erasure.asked_again", "erasure.completed", "erasure.requested"]


def test_a_contact_that_came_back_by_mailchimps_own_form_is_deleted_when_asked_again(office: Office) -> None:
    office.sync(office.segment())
    office.erase()
    office.sandbox.sign_up(office.lists[0], ADDRESS)
    assert office.there() is not None
    assert office.status() == "completed"
    assert office.there() is None


def test_while_mailchimp_is_away_it_is_pending_and_completes_by_itself_after_a_restart(office: Office) -> None:
    office.sync(office.segment())
    office.sandbox.start_outage()
    assert office.erase() == {**ENTITY, "status": "pending", "audiences": 1}
    office.retry_pending()
    office.sandbox.end_outage()
    stage = office.tenant.stage
    with open_resources(settings_for(office.parts.database_url, stage.files, stage.sandbox)) as anew:
        attempts = office.retry_pending(anew)
    assert [attempt.request.status for attempt in attempts] == [ErasureStatus.COMPLETED]
    assert (office.there(), office.pending()) == (None, [])


def test_an_erasure_goes_on_where_it_was_interrupted(office: Office) -> None:
    office.sync(office.segment(0), office.segment(1))
    office.sandbox.add_fault(Fault(kind=FaultKind.BROKEN, method="POST", route=DELETION, skip=1))
    assert office.status() == "pending"
    office.sandbox.clear_faults()
    office.sandbox.reset_counts()
    office.retry_pending()
    assert [office.there(place) for place in range(3)] == [None, None, None]
    assert office.pending() == []


def test_a_deletion_whose_answer_was_lost_is_confirmed_by_the_lasting_id(office: Office) -> None:
    office.sync(office.segment())
    fault = Fault(kind=FaultKind.CUT, method="POST", route=DELETION, applied=True, times=10)
    office.sandbox.add_fault(fault)
    assert office.status() == "pending"
    office.sandbox.clear_faults()
    assert [attempt.request.status for attempt in office.retry_pending()] == [ErasureStatus.COMPLETED]


def test_a_contact_that_changed_its_address_at_mailchimp_is_found_by_the_lasting_id(office: Office) -> None:
    office.sync(office.segment())
    office.sandbox.change_address(office.lists[0], ADDRESS, NEW_ADDRESS)
    office.sandbox.add_members(office.lists[2], [Seed(email_address=NEW_ADDRESS)])
    assert office.erase() == {**ENTITY, "status": "completed", "audiences": 2}
    assert (office.there(0, NEW_ADDRESS), office.there(2, NEW_ADDRESS)) == (None, None)


def test_an_address_that_was_there_and_is_not_known_any_more_is_no_success_without_a_lasting_id(
    office: Office,
) -> None:
    office.sync(office.segment())
    forget_lasting_ids(office)
    office.sandbox.change_address(office.lists[0], ADDRESS, NEW_ADDRESS)
    assert office.erase() == {**ENTITY, "status": "pending", "audiences": 1}
    (attempt,) = office.retry_pending()
    assert attempt.needs_person
    assert f"Audience {office.lists[0]} had the contact" in str(office.pending())


def test_a_person_who_saw_to_it_confirms_it(office: Office) -> None:
    office.sync(office.segment())
    forget_lasting_ids(office)
    office.sandbox.delete_as_admin(office.lists[0], ADDRESS)
    office.erase()
    with office.parts.database.organisation(office.organisation_id) as session:
        store = ErasureStore(session, office.parts.keyring)
        (request,) = store.of(*CONTACT)
        confirmed = store.confirm(request.id, by="bob", at=office.parts.erasures().clock())
    assert confirmed is not None
    assert confirmed.status is ErasureStatus.COMPLETED
    assert office.tenant.query("audit.list").data["items"][0]["action"] == "erasure.confirmed_by_hand"


def test_without_a_lasting_id_the_member_is_looked_up_before_it_is_deleted(office: Office) -> None:
    office.sync(office.segment())
    forget_lasting_ids(office)
    office.sandbox.add_fault(Fault(kind=FaultKind.CUT, method="POST", route=DELETION, applied=True, times=10))
    assert office.status() == "pending"
    office.sandbox.clear_faults()
    assert [attempt.request.status for attempt in office.retry_pending()] == [ErasureStatus.COMPLETED]


def test_a_source_that_is_away_keeps_it_pending_until_it_was_asked(office: Office) -> None:
    file = office.tenant.stage.files / "employees.csv"
    office.sandbox.add_members(office.lists[2], [Seed(email_address=ADDRESS)])
    away = file.rename(file.with_suffix(".away"))
    try:
        assert office.erase() == {**ENTITY, "status": "pending", "audiences": 0}
    finally:
        away.rename(file)
    assert [attempt.request.status for attempt in office.retry_pending()] == [ErasureStatus.COMPLETED]
    assert office.there(2) is None


def test_an_audience_that_was_deleted_holds_nobody(office: Office) -> None:
    office.sync(office.segment(1))
    office.sandbox.remove_audience(office.lists[1])
    assert office.status() == "completed"


def test_a_sync_under_way_does_not_bring_the_contact_back(office: Office) -> None:
    segment = office.segment()
    with a_sync_held_at_its_batch(office, segment):
        status = office.status()
    office.retry_pending()
    assert status == "pending"
    assert (office.there(), office.pending()) == (None, [])
    assert HASH not in office.known()


@pytest.mark.parametrize("entity", [{"entityId": "nobody"}, {"entityType": "vendor"}])
def test_a_contact_of_whom_nothing_is_known_is_not_said_to_be_erased(office: Office, entity: dict[str, str]) -> None:
    office.sync(office.segment())
    answer = office.tenant.mutate("preferences.gdprDelete", ENTITY | entity)
    assert answer.error["data"]["code"] == "NOT_FOUND"
    assert "Check the id and the entity type" in answer.error["message"]
    assert not [action for action in office.tenant.audit_actions() if action.startswith("erasure.")]


def test_who_comes_back_after_leaving_is_recognised_when_erased_again(office: Office) -> None:
    office.sync(office.segment())
    office.erase()
    office.sandbox.sign_up(office.lists[1], ADDRESS)
    file = office.tenant.stage.files / "employees.csv"
    staff = file.read_text()
    file.write_text("".join(line for line in staff.splitlines(keepends=True) if ADDRESS not in line))
    try:
        assert office.erase() == {**ENTITY, "status": "completed", "audiences": 1}
    finally:
        file.write_text(staff)
    assert office.there(1) is None


def test_the_address_in_the_source_of_another_organisation_is_left_alone(stage: Stage, office: Office) -> None:
    other = an_office(stage)
    other.sync(other.segment())
    office.erase()
    member = other.there()
    assert member is not None
    assert member.status is Status.SUBSCRIBED


def forget_lasting_ids(office: Office) -> None:
    """Make the ledger one of a Mailchimp that never told them."""
    with office.parts.database.organisation(office.organisation_id) as session:
        session.connection().exec_driver_sql("update audience_members set contact_id = null")
