"""The behaviour of the client that a sync relies on."""

from datetime import datetime

import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.sync import (
    BATCH_SIZE,
    AddressChangeResult,
    BatchAnswer,
    MemberRef,
    MemberState,
    MemberStatus,
    Rejection,
)
from mailchimp_pipeline_tests.mailchimp.builders import LIST_ID, a_new_member
from mailchimp_pipeline_tests.mailchimp.stages import DELETED, FAKE, SandboxStage, status_of

ADA, BOB, EVE = (f"{name}@acme.test" for name in ("ada", "bob", "eve"))


@pytest.fixture
def stage(sandbox_stage: SandboxStage) -> SandboxStage:
    return sandbox_stage


def moved(stage: SandboxStage, email: str, to: str) -> object:
    """Change the member's address; return the new hash, or the rejection."""
    result = stage.audiences.change_address(LIST_ID, MemberRef(subscriber_hash(email)), to)
    return result.subscriber_hash if isinstance(result, MemberState) else result


def hashes(*emails: str) -> set[str]:
    return {subscriber_hash(email) for email in emails}


def known(stage: SandboxStage, email: str) -> MemberStatus | None:
    """Return the member's status at Mailchimp."""
    return status_of(stage.audiences.member_state(LIST_ID, MemberRef(subscriber_hash(email))))


def push(
    stage: SandboxStage, *emails: str, update_existing: bool = False, status: MemberStatus = MemberStatus.SUBSCRIBED
) -> BatchAnswer:
    members = [a_new_member(email, status) for email in emails]
    return stage.audiences.subscribe(LIST_ID, members, update_existing=update_existing)


def member_states(
    stage: SandboxStage, *, status: MemberStatus | None = None, since: datetime | None = None
) -> dict[str, MemberStatus]:
    pages = stage.audiences.member_states(LIST_ID, status=status, since=since)
    return {state.subscriber_hash: state.status for page in pages for state in page}


def test_an_audience_is_described(stage: SandboxStage) -> None:
    stage.add_member(ADA, MemberStatus.SUBSCRIBED)
    stage.add_member(BOB, MemberStatus.UNSUBSCRIBED)
    audience = stage.audiences.audience(LIST_ID)
    assert (audience.id, audience.name, audience.double_optin) == (LIST_ID, "Staff", False)
    assert (audience.member_count, type(audience.web_id)) == (1, int)


def test_a_missing_audience_is_a_permanent_error(stage: SandboxStage) -> None:
    audiences, gone = stage.audiences, "0000000000"
    for ask in (
        lambda: audiences.audience(gone),
        lambda: audiences.merge_fields(gone),
        lambda: list(audiences.member_states(gone)),
        lambda: audiences.subscribe(gone, [a_new_member(ADA)], update_existing=False),
    ):
        with pytest.raises(PermanentError, match="audience"):
            ask()


def test_the_merge_tags_of_a_new_audience_are_mailchimps(stage: SandboxStage) -> None:
    assert {field.tag for field in stage.audiences.merge_fields(LIST_ID)} >= {"FNAME", "LNAME"}


@pytest.mark.parametrize("status", [MemberStatus.SUBSCRIBED, MemberStatus.PENDING])
def test_a_new_contact_is_accepted_with_the_status_asked_for(stage: SandboxStage, status: MemberStatus) -> None:
    answer = push(stage, ADA, "Bob@Acme.Test", status=status)
    assert answer.accepted.keys() == hashes(ADA, BOB)
    assert known(stage, BOB) is status


@pytest.mark.parametrize("status", [MemberStatus.SUBSCRIBED, MemberStatus.UNSUBSCRIBED, MemberStatus.CLEANED])
def test_an_existing_member_is_left_unchanged(stage: SandboxStage, status: MemberStatus) -> None:
    stage.add_member(ADA, status)
    answer = push(stage, ADA, BOB)
    assert (answer.existing, answer.accepted.keys(), answer.rejected) == (hashes(ADA), hashes(BOB), {})
    assert known(stage, ADA) is status


def test_an_existing_member_is_updated_on_request(stage: SandboxStage) -> None:
    push(stage, ADA)
    assert push(stage, ADA, BOB, update_existing=True).accepted.keys() == hashes(ADA, BOB)


def test_the_same_batch_again_changes_nothing(stage: SandboxStage) -> None:
    push(stage, ADA)
    assert push(stage, ADA).existing == hashes(ADA)
    assert member_states(stage) == {subscriber_hash(ADA): MemberStatus.SUBSCRIBED}


def test_an_unsubscribed_member_is_not_resubscribed(stage: SandboxStage) -> None:
    stage.add_member(ADA, MemberStatus.SUBSCRIBED)
    stage.unsubscribe(ADA)
    assert push(stage, ADA, update_existing=True).rejected == {subscriber_hash(ADA): Rejection.COMPLIANCE}
    assert known(stage, ADA) is MemberStatus.UNSUBSCRIBED


def test_rejected_contacts_do_not_affect_others(stage: SandboxStage) -> None:
    answer = push(stage, ADA, DELETED, FAKE)
    assert answer.accepted.keys() == hashes(ADA)
    assert answer.rejected == {subscriber_hash(DELETED): Rejection.FORGOTTEN, subscriber_hash(FAKE): Rejection.FAKE}
    assert known(stage, DELETED) is None


def test_an_address_that_stands_twice_in_a_batch_counts_once(stage: SandboxStage) -> None:
    assert push(stage, ADA, "ADA@acme.test").accepted.keys() == hashes(ADA)


def test_an_empty_batch_is_answered_at_once(stage: SandboxStage) -> None:
    assert push(stage) == BatchAnswer({}, frozenset())


def test_a_batch_beyond_mailchimps_limit_is_a_defect(stage: SandboxStage) -> None:
    with pytest.raises(ValueError, match="at most 500"):
        push(stage, *(f"p{number}@acme.test" for number in range(BATCH_SIZE + 1)))


def test_an_unknown_address_has_no_status(stage: SandboxStage) -> None:
    assert known(stage, EVE) is None


def test_member_states_are_read_in_pages(stage: SandboxStage) -> None:
    emails = [f"p{number}@acme.test" for number in range(5)]
    for email in emails:
        stage.add_member(email, MemberStatus.CLEANED)
    assert member_states(stage) == dict.fromkeys(hashes(*emails), MemberStatus.CLEANED)
    assert all(isinstance(one, MemberState) for page in stage.audiences.member_states(LIST_ID) for one in page)


def test_member_states_can_be_filtered_by_status(stage: SandboxStage) -> None:
    stage.add_member(ADA, MemberStatus.ARCHIVED)
    stage.add_member(BOB, MemberStatus.SUBSCRIBED)
    assert member_states(stage, status=MemberStatus.ARCHIVED).keys() == hashes(ADA)
    assert member_states(stage, status=MemberStatus.UNSUBSCRIBED) == {}


def test_member_states_are_sorted_by_last_change(stage: SandboxStage) -> None:
    for email in (BOB, ADA, EVE):
        stage.add_member(email, MemberStatus.SUBSCRIBED)
        stage.hours.pass_hour()
    came = [state.subscriber_hash for page in stage.audiences.member_states(LIST_ID) for state in page]
    assert came == [subscriber_hash(email) for email in (EVE, ADA, BOB)]


def test_member_states_can_be_filtered_by_last_change(stage: SandboxStage) -> None:
    stage.add_member(ADA, MemberStatus.SUBSCRIBED)
    between = stage.hours.pass_hour()
    stage.add_member(BOB, MemberStatus.SUBSCRIBED)
    assert member_states(stage, since=between).keys() == hashes(BOB)
    assert member_states(stage, since=stage.hours.pass_hour()) == {}


@pytest.mark.parametrize("before", [MemberStatus.SUBSCRIBED, MemberStatus.PENDING])
def test_a_member_is_unsubscribed_and_brought_back(stage: SandboxStage, before: MemberStatus) -> None:
    stage.add_member(ADA, before)
    changes = (MemberStatus.UNSUBSCRIBED, MemberStatus.SUBSCRIBED)
    ref = MemberRef(subscriber_hash(ADA))
    done = [status_of(stage.audiences.set_member_status(LIST_ID, ref, status)) for status in changes]
    assert (tuple(done), known(stage, ADA)) == (changes, MemberStatus.SUBSCRIBED)


def test_an_unsubscribed_member_can_only_become_pending(stage: SandboxStage) -> None:
    stage.add_member(ADA, MemberStatus.SUBSCRIBED)
    stage.unsubscribe(ADA)
    key = subscriber_hash(ADA)
    assert stage.audiences.set_member_status(LIST_ID, MemberRef(key), MemberStatus.SUBSCRIBED) is Rejection.COMPLIANCE
    asked = stage.audiences.set_member_status(LIST_ID, MemberRef(key), MemberStatus.PENDING)
    assert status_of(asked) is MemberStatus.PENDING


def test_setting_the_status_of_an_unknown_member_does_nothing(stage: SandboxStage) -> None:
    assert stage.audiences.set_member_status(LIST_ID, MemberRef(subscriber_hash(EVE)), MemberStatus.SUBSCRIBED) is None
    assert member_states(stage) == {}


@pytest.mark.parametrize("status", [MemberStatus.SUBSCRIBED, MemberStatus.PENDING, MemberStatus.UNSUBSCRIBED])
def test_a_member_moves_to_another_address_and_keeps_its_status(stage: SandboxStage, status: MemberStatus) -> None:
    stage.add_member(ADA, status)
    assert moved(stage, ADA, EVE) == subscriber_hash(EVE)
    assert member_states(stage) == {subscriber_hash(EVE): status}


def test_an_unsubscribed_member_with_a_new_address_is_not_resubscribed(stage: SandboxStage) -> None:
    stage.add_member(ADA, MemberStatus.SUBSCRIBED)
    stage.unsubscribe(ADA)
    assert moved(stage, ADA, EVE) == subscriber_hash(EVE)
    assert push(stage, EVE, update_existing=True).rejected == {subscriber_hash(EVE): Rejection.COMPLIANCE}


def test_a_member_does_not_move_where_it_cannot(stage: SandboxStage) -> None:
    stage.add_member(ADA, MemberStatus.SUBSCRIBED)
    stage.add_member(BOB, MemberStatus.SUBSCRIBED)
    assert moved(stage, EVE, "eva@acme.test") is AddressChangeResult.UNKNOWN
    assert moved(stage, ADA, BOB) is AddressChangeResult.TAKEN
    assert [moved(stage, ADA, to) for to in (DELETED, FAKE)] == [Rejection.FORGOTTEN, Rejection.FAKE]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (MemberStatus.SUBSCRIBED, MemberStatus.ARCHIVED),
        (MemberStatus.UNSUBSCRIBED, MemberStatus.ARCHIVED),
        (MemberStatus.ARCHIVED, MemberStatus.ARCHIVED),
        (MemberStatus.PENDING, MemberStatus.PENDING),
        (MemberStatus.CLEANED, MemberStatus.CLEANED),
    ],
)
def test_archiving_tells_the_status_after_it(stage: SandboxStage, before: MemberStatus, after: MemberStatus) -> None:
    stage.add_member(ADA, before)
    assert status_of(stage.audiences.archive_member(LIST_ID, MemberRef(subscriber_hash(ADA)))) is after
    assert known(stage, ADA) is after


def test_archiving_an_unknown_member_does_nothing(stage: SandboxStage) -> None:
    assert stage.audiences.archive_member(LIST_ID, MemberRef(subscriber_hash(EVE))) is None


def test_an_archived_member_returns_with_the_next_batch(stage: SandboxStage) -> None:
    stage.add_member(ADA, MemberStatus.SUBSCRIBED)
    stage.audiences.archive_member(LIST_ID, MemberRef(subscriber_hash(ADA)))
    assert push(stage, ADA).accepted.keys() == hashes(ADA)
    assert member_states(stage) == {subscriber_hash(ADA): MemberStatus.SUBSCRIBED}
