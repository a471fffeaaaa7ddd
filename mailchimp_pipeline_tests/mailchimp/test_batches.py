"""The result of each contact in a batch, for any answer."""

from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.mailchimp.client import batch_answer, by_subscriber_hash
from mailchimp_pipeline.mailchimp.wire_models import BatchResult
from mailchimp_pipeline.sync import BatchAnswer, MemberStatus, NewMember, Rejection
from mailchimp_pipeline_tests.mailchimp.builders import A_HASH, ADDRESS, a_batch_result, a_member, a_new_member, an_item

COMPLIANCE = "X is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed."


def answered(result: dict[str, object], status: MemberStatus = MemberStatus.SUBSCRIBED) -> BatchAnswer:
    """Return the answer to a batch of one contact."""
    return batch_answer(by_subscriber_hash([a_new_member(status=status)]), BatchResult.model_validate(result))


def test_a_member_that_comes_back_as_it_was_sent_is_accepted() -> None:
    assert answered(a_batch_result(new=(a_member(),))).accepted.keys() == {A_HASH}
    assert answered(a_batch_result(updated=(a_member(),))).accepted.keys() == {A_HASH}
    assert answered(a_batch_result(new=(a_member(status="pending"),)), MemberStatus.PENDING).accepted.keys() == {A_HASH}


def test_a_member_that_comes_back_unsubscribed_is_not_accepted() -> None:
    answer = answered(a_batch_result(updated=(a_member(status="unsubscribed"),)))
    assert answer.accepted == {}
    assert answer.rejected == {A_HASH: Rejection.UNSUBSCRIBED}


def test_a_member_that_must_confirm_first_is_not_accepted() -> None:
    assert answered(a_batch_result(new=(a_member(status="pending"),))).rejected == {A_HASH: Rejection.PENDING}


def test_a_member_that_has_confirmed_already_is_accepted() -> None:
    assert answered(a_batch_result(updated=(a_member(),)), MemberStatus.PENDING).accepted.keys() == {A_HASH}


def test_a_contact_that_exists_is_neither_accepted_nor_refused() -> None:
    answer = answered(a_batch_result(errors=(an_item("X is known.", code="ERROR_CONTACT_EXISTS"),)))
    assert answer == BatchAnswer({}, frozenset({A_HASH}))


def test_an_error_outweighs_a_member_that_came_back() -> None:
    answer = answered(a_batch_result(new=(a_member(),), errors=(an_item(COMPLIANCE),)))
    assert answer.rejected == {A_HASH: Rejection.COMPLIANCE}


def test_a_contact_that_was_left_out_in_silence_is_refused() -> None:
    assert answered(a_batch_result()).rejected == {A_HASH: Rejection.COMPLIANCE}


def test_contacts_are_matched_however_their_address_is_written() -> None:
    shouted = ADDRESS.upper()
    assert answered(a_batch_result(new=(a_member(f" {shouted} "),))).accepted.keys() == {A_HASH}
    assert answered(a_batch_result(errors=(an_item("X looks fake", shouted),))).rejected == {A_HASH: Rejection.FAKE}


def test_unrelated_members_in_the_answer_are_ignored() -> None:
    answer = answered(a_batch_result(new=(a_member("eve@x.test"),), errors=(an_item("X?", "mallory@x.test"),)))
    assert answer.rejected == {A_HASH: Rejection.COMPLIANCE}
    assert not answer.accepted
    assert not answer.existing


def test_of_two_contacts_with_one_address_the_first_is_sent() -> None:
    sent = by_subscriber_hash([a_new_member("Ada@x.test", merge_fields={"FNAME": "Ada"}), a_new_member("ada@x.test ")])
    assert [member.merge_fields for member in sent.values()] == [{"FNAME": "Ada"}]


emails = st.sampled_from([f"{name}@x.test" for name in "abcde"])
members = st.builds(a_member, emails, st.sampled_from([*MemberStatus, "new"]).map(str))
errors = st.builds(an_item, st.text() | st.just(COMPLIANCE), emails, st.sampled_from(["ERROR_CONTACT_EXISTS", "?"]))
results = st.builds(a_batch_result, *(st.lists(part, max_size=4).map(tuple) for part in (members, members, errors)))


@given(st.lists(emails.map(a_new_member), max_size=5), results)
def test_each_contact_stands_in_exactly_one_place(sent: list[NewMember], result: dict[str, object]) -> None:
    answer = batch_answer(by_subscriber_hash(sent), BatchResult.model_validate(result))
    stands = [*answer.accepted, *answer.existing, *answer.rejected]
    assert len(stands) == len(set(stands))
    assert set(stands) == {subscriber_hash(member.email) for member in sent}
