"""What a sync may rely on, of the fake and of the real client alike."""

from datetime import datetime

import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.sync import BATCH_SIZE, BatchAnswer, MemberStatus, Refusal, Renaming, Standing
from mailchimp_pipeline_tests.mailchimp.builders import LIST_ID, a_new_member
from mailchimp_pipeline_tests.mailchimp.stages import FAKE, FORGOTTEN, FakeStage, Stage

ADA, BOB, EVE = (f"{name}@acme.test" for name in ("ada", "bob", "eve"))


@pytest.fixture(params=["fake", "real"])
def stage(request: pytest.FixtureRequest) -> Stage:
    return FakeStage() if request.param == "fake" else request.getfixturevalue("sandbox_stage")


def hashes(*emails: str) -> set[str]:
    return {subscriber_hash(email) for email in emails}


def push(
    stage: Stage, *emails: str, update_existing: bool = False, status: MemberStatus = MemberStatus.SUBSCRIBED
) -> BatchAnswer:
    members = [a_new_member(email, status) for email in emails]
    return stage.audiences.subscribe(LIST_ID, members, update_existing=update_existing)


def standings(
    stage: Stage, *, status: MemberStatus | None = None, since: datetime | None = None
) -> dict[str, MemberStatus]:
    pages = stage.audiences.standings(LIST_ID, status=status, since=since)
    return {standing.subscriber_hash: standing.status for page in pages for standing in page}


def test_an_audience_is_described(stage: Stage) -> None:
    stage.put(ADA, MemberStatus.SUBSCRIBED)
    stage.put(BOB, MemberStatus.UNSUBSCRIBED)
    audience = stage.audiences.audience(LIST_ID)
    assert (audience.id, audience.name, audience.double_optin) == (LIST_ID, "Staff", False)
    assert (audience.member_count, type(audience.web_id)) == (1, int)


def test_an_audience_that_is_not_there_is_a_lasting_error(stage: Stage) -> None:
    audiences, gone = stage.audiences, "0000000000"
    for ask in (
        lambda: audiences.audience(gone),
        lambda: audiences.merge_tags(gone),
        lambda: list(audiences.standings(gone)),
        lambda: audiences.subscribe(gone, [a_new_member(ADA)], update_existing=False),
    ):
        with pytest.raises(LastingError, match="audience"):
            ask()


def test_the_merge_tags_of_a_new_audience_are_mailchimps(stage: Stage) -> None:
    assert stage.audiences.merge_tags(LIST_ID) >= {"FNAME", "LNAME"}


@pytest.mark.parametrize("status", [MemberStatus.SUBSCRIBED, MemberStatus.PENDING])
def test_a_new_contact_is_accepted_with_the_status_asked_for(stage: Stage, status: MemberStatus) -> None:
    answer = push(stage, ADA, "Bob@Acme.Test", status=status)
    assert answer.accepted.keys() == hashes(ADA, BOB)
    assert stage.audiences.member_status(LIST_ID, subscriber_hash(BOB)) is status


@pytest.mark.parametrize("status", [MemberStatus.SUBSCRIBED, MemberStatus.UNSUBSCRIBED, MemberStatus.CLEANED])
def test_one_that_exists_is_left_as_it_is(stage: Stage, status: MemberStatus) -> None:
    stage.put(ADA, status)
    answer = push(stage, ADA, BOB)
    assert (answer.existing, answer.accepted.keys(), answer.refused) == (hashes(ADA), hashes(BOB), {})
    assert stage.audiences.member_status(LIST_ID, subscriber_hash(ADA)) is status


def test_one_that_exists_is_updated_when_that_is_asked_for(stage: Stage) -> None:
    push(stage, ADA)
    assert push(stage, ADA, BOB, update_existing=True).accepted.keys() == hashes(ADA, BOB)


def test_the_same_batch_again_changes_nothing(stage: Stage) -> None:
    push(stage, ADA)
    assert push(stage, ADA).existing == hashes(ADA)
    assert standings(stage) == {subscriber_hash(ADA): MemberStatus.SUBSCRIBED}


def test_one_who_left_is_not_brought_back(stage: Stage) -> None:
    stage.put(ADA, MemberStatus.SUBSCRIBED)
    stage.leave(ADA)
    assert push(stage, ADA, update_existing=True).refused == {subscriber_hash(ADA): Refusal.COMPLIANCE}
    assert stage.audiences.member_status(LIST_ID, subscriber_hash(ADA)) is MemberStatus.UNSUBSCRIBED


def test_refusals_of_some_do_not_keep_out_the_others(stage: Stage) -> None:
    answer = push(stage, ADA, FORGOTTEN, FAKE)
    assert answer.accepted.keys() == hashes(ADA)
    assert answer.refused == {subscriber_hash(FORGOTTEN): Refusal.FORGOTTEN, subscriber_hash(FAKE): Refusal.FAKE}
    assert stage.audiences.member_status(LIST_ID, subscriber_hash(FORGOTTEN)) is None


def test_an_address_that_stands_twice_in_a_batch_counts_once(stage: Stage) -> None:
    assert push(stage, ADA, "ADA@acme.test").accepted.keys() == hashes(ADA)


def test_an_empty_batch_is_answered_at_once(stage: Stage) -> None:
    assert push(stage) == BatchAnswer({}, frozenset())


def test_a_batch_beyond_mailchimps_limit_is_a_defect(stage: Stage) -> None:
    with pytest.raises(ValueError, match="at most 500"):
        push(stage, *(f"p{number}@acme.test" for number in range(BATCH_SIZE + 1)))


def test_an_unknown_address_has_no_status(stage: Stage) -> None:
    assert stage.audiences.member_status(LIST_ID, subscriber_hash(EVE)) is None


def test_everybodys_standing_comes_in_pages(stage: Stage) -> None:
    emails = [f"p{number}@acme.test" for number in range(5)]
    for email in emails:
        stage.put(email, MemberStatus.CLEANED)
    assert standings(stage) == dict.fromkeys(hashes(*emails), MemberStatus.CLEANED)
    assert all(isinstance(one, Standing) for page in stage.audiences.standings(LIST_ID) for one in page)


def test_standings_can_be_asked_for_by_status(stage: Stage) -> None:
    stage.put(ADA, MemberStatus.ARCHIVED)
    stage.put(BOB, MemberStatus.SUBSCRIBED)
    assert standings(stage, status=MemberStatus.ARCHIVED).keys() == hashes(ADA)
    assert standings(stage, status=MemberStatus.UNSUBSCRIBED) == {}


def test_those_that_changed_last_stand_first(stage: Stage) -> None:
    for email in (BOB, ADA, EVE):
        stage.put(email, MemberStatus.SUBSCRIBED)
        stage.hours.pass_one()
    came = [standing.subscriber_hash for page in stage.audiences.standings(LIST_ID) for standing in page]
    assert came == [subscriber_hash(email) for email in (EVE, ADA, BOB)]


def test_standings_can_be_asked_for_by_their_change(stage: Stage) -> None:
    stage.put(ADA, MemberStatus.SUBSCRIBED)
    between = stage.hours.pass_one()
    stage.put(BOB, MemberStatus.SUBSCRIBED)
    assert standings(stage, since=between).keys() == hashes(BOB)
    assert standings(stage, since=stage.hours.pass_one()) == {}


@pytest.mark.parametrize("before", [MemberStatus.SUBSCRIBED, MemberStatus.PENDING])
def test_a_member_is_unsubscribed_and_brought_back(stage: Stage, before: MemberStatus) -> None:
    stage.put(ADA, before)
    key = subscriber_hash(ADA)
    changes = (MemberStatus.UNSUBSCRIBED, MemberStatus.SUBSCRIBED)
    assert tuple(stage.audiences.set_member_status(LIST_ID, key, status) for status in changes) == changes
    assert stage.audiences.member_status(LIST_ID, key) is MemberStatus.SUBSCRIBED


def test_one_who_left_may_only_be_asked(stage: Stage) -> None:
    stage.put(ADA, MemberStatus.SUBSCRIBED)
    stage.leave(ADA)
    key = subscriber_hash(ADA)
    assert stage.audiences.set_member_status(LIST_ID, key, MemberStatus.SUBSCRIBED) is Refusal.COMPLIANCE
    assert stage.audiences.set_member_status(LIST_ID, key, MemberStatus.PENDING) is MemberStatus.PENDING


def test_the_status_of_somebody_unknown_is_not_set(stage: Stage) -> None:
    assert stage.audiences.set_member_status(LIST_ID, subscriber_hash(EVE), MemberStatus.SUBSCRIBED) is None
    assert standings(stage) == {}


@pytest.mark.parametrize("status", [MemberStatus.SUBSCRIBED, MemberStatus.PENDING, MemberStatus.UNSUBSCRIBED])
def test_a_member_moves_to_another_address_and_keeps_its_status(stage: Stage, status: MemberStatus) -> None:
    stage.put(ADA, status)
    assert stage.audiences.rename_member(LIST_ID, subscriber_hash(ADA), EVE) is Renaming.RENAMED
    assert standings(stage) == {subscriber_hash(EVE): status}


def test_one_who_left_and_moved_is_still_not_brought_back(stage: Stage) -> None:
    stage.put(ADA, MemberStatus.SUBSCRIBED)
    stage.leave(ADA)
    assert stage.audiences.rename_member(LIST_ID, subscriber_hash(ADA), EVE) is Renaming.RENAMED
    assert push(stage, EVE, update_existing=True).refused == {subscriber_hash(EVE): Refusal.COMPLIANCE}


def test_a_member_does_not_move_where_it_cannot(stage: Stage) -> None:
    stage.put(ADA, MemberStatus.SUBSCRIBED)
    stage.put(BOB, MemberStatus.SUBSCRIBED)
    rename = stage.audiences.rename_member
    assert rename(LIST_ID, subscriber_hash(EVE), "eva@acme.test") is Renaming.UNKNOWN
    assert rename(LIST_ID, subscriber_hash(ADA), BOB) is Renaming.TAKEN
    assert [rename(LIST_ID, subscriber_hash(ADA), to) for to in (FORGOTTEN, FAKE)] == [Refusal.FORGOTTEN, Refusal.FAKE]


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
def test_archiving_tells_how_the_member_stands_then(stage: Stage, before: MemberStatus, after: MemberStatus) -> None:
    stage.put(ADA, before)
    assert stage.audiences.archive_member(LIST_ID, subscriber_hash(ADA)) is after
    assert stage.audiences.member_status(LIST_ID, subscriber_hash(ADA)) is after


def test_nobody_unknown_is_archived(stage: Stage) -> None:
    assert stage.audiences.archive_member(LIST_ID, subscriber_hash(EVE)) is None


def test_one_who_was_archived_comes_back_with_the_next_batch(stage: Stage) -> None:
    stage.put(ADA, MemberStatus.SUBSCRIBED)
    stage.audiences.archive_member(LIST_ID, subscriber_hash(ADA))
    assert push(stage, ADA).accepted.keys() == hashes(ADA)
    assert standings(stage) == {subscriber_hash(ADA): MemberStatus.SUBSCRIBED}
