"""What the fake offers to tests beyond the port."""

import pytest

from mailchimp_pipeline.errors import PassingError
from mailchimp_pipeline.sync import MemberStatus
from mailchimp_pipeline_tests.fakes import FakeAudience, FakeAudiences
from mailchimp_pipeline_tests.mailchimp.builders import ADDRESS, LIST_ID, a_new_member


def test_failures_come_in_their_order_and_then_no_more() -> None:
    fake = FakeAudiences(FakeAudience(LIST_ID), failures=[None, PassingError("away")])
    assert fake.audience(LIST_ID).id == LIST_ID
    with pytest.raises(PassingError, match="away"):
        fake.merge_tags(LIST_ID)
    assert fake.merge_tags(LIST_ID)


def test_the_fake_keeps_what_it_was_sent() -> None:
    fake, member = FakeAudiences(), a_new_member(merge_fields={"FNAME": "Ada", "UNKNOWN": "x"})
    fake.subscribe(LIST_ID, [member], update_existing=True)
    assert [(batch.members, batch.update_existing) for batch in fake.batches] == [((member,), True)]
    kept = fake.member(LIST_ID, ADDRESS)
    assert kept is not None
    assert kept.merge_fields == {"FNAME": "Ada"}


def test_one_who_left_may_be_asked_to_confirm() -> None:
    fake = FakeAudiences()
    fake.put(LIST_ID, ADDRESS, MemberStatus.UNSUBSCRIBED, barred=True)
    answer = fake.subscribe(LIST_ID, [a_new_member(status=MemberStatus.PENDING)], update_existing=True)
    assert len(answer.accepted) == 1


def test_one_who_was_archived_comes_back() -> None:
    fake = FakeAudiences()
    fake.put(LIST_ID, ADDRESS, MemberStatus.ARCHIVED)
    assert len(fake.subscribe(LIST_ID, [a_new_member()], update_existing=False).accepted) == 1
    assert fake.audience(LIST_ID).member_count == 1
