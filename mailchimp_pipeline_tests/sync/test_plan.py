"""The planned change of each contact depends only on its known status at Mailchimp."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import ARROW_STRING
from mailchimp_pipeline.sync import MemberStatus, Plan, Rejection, plan
from mailchimp_pipeline.sync.plan import Batches, members

CONTACT = ("subscriber_hash", "email", "first_name", "last_name", "entity_type", "entity_id", "digest")
COLUMNS = (*CONTACT, "known_status", "member_id", "returns", "moved_from", "moved_from_id", "own_address")


def differences(*statuses: str | None, returns: str | None = None, moved_from: str | None = None) -> pd.DataFrame:
    """Return a row for each known status, in the ledger's format."""
    rest = {"returns": returns, "moved_from": moved_from}
    rows = [
        {**{name: f"{name}-{place}" for name in CONTACT}, "known_status": status, **rest}
        for place, status in enumerate(statuses)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=ARROW_STRING)


def withheld(planned: Plan) -> dict[Rejection, int]:
    return {reason: len(rows) for reason, rows in planned.withheld.items()}


def test_a_contact_that_mailchimp_does_not_know_is_new() -> None:
    planned = plan(differences(None))
    assert (len(planned.new), len(planned.changed), withheld(planned)) == (1, 0, {})


def test_a_subscribed_member_is_changed() -> None:
    planned = plan(differences("subscribed"))
    assert (len(planned.new), len(planned.changed), withheld(planned)) == (0, 1, {})


def test_a_contact_with_a_member_at_a_former_address_is_moved() -> None:
    planned = plan(differences(None, moved_from="former"))
    assert (len(planned.moved), len(planned.new)) == (1, 0)


def test_a_former_address_does_not_matter_where_the_new_one_is_known() -> None:
    planned = plan(differences("subscribed", "cleaned", moved_from="former"))
    assert (len(planned.moved), len(planned.changed), withheld(planned)) == (0, 1, {Rejection.CLEANED: 1})


def test_only_a_contact_who_opted_in_after_unsubscribing_returns() -> None:
    planned = plan(differences("unsubscribed", "cleaned", "pending", returns="yes"))
    assert planned.returning["known_status"].tolist() == ["unsubscribed"]
    assert withheld(planned) == {Rejection.CLEANED: 1, Rejection.PENDING: 1}


@pytest.mark.parametrize("status", [None, *MemberStatus])
def test_a_contact_who_changed_the_address_at_mailchimp_is_left_alone(status: MemberStatus | None) -> None:
    planned = plan(differences(status, returns="yes").assign(own_address="yes"))
    assert (len(planned.new), len(planned.moved), len(planned.changed), len(planned.returning)) == (0, 0, 0, 0)
    assert withheld(planned) == {Rejection.OWN_ADDRESS: 1}


@given(st.lists(st.sampled_from([None, *(status.value for status in MemberStatus)]), max_size=30))
def test_only_subscribed_members_are_sent(statuses: list[str | None]) -> None:
    frame = differences(*statuses)
    planned = plan(frame)
    sent = {*planned.new["known_status"].dropna(), *planned.changed["known_status"].dropna()}
    assert sent <= {"subscribed"}
    assert len(planned.new) + len(planned.changed) + sum(withheld(planned).values()) == len(frame)
    assert planned.moved.empty
    assert planned.returning.empty


def test_each_status_is_counted_under_its_own_reason() -> None:
    planned = plan(differences("unsubscribed", "cleaned", "archived", "pending", "transactional", "unsubscribed"))
    assert withheld(planned) == {
        Rejection.UNSUBSCRIBED: 2,
        Rejection.CLEANED: 1,
        Rejection.ARCHIVED: 1,
        Rejection.PENDING: 1,
        Rejection.TRANSACTIONAL: 1,
    }


def test_batches_fit_one_call_and_lose_nobody() -> None:
    frame = differences(*[None] * 1203)
    cut, pieces = Batches(), list[pd.DataFrame]()
    for start in range(0, 1203, 300):
        pieces += cut.full(frame.iloc[start : start + 300])
    assert [len(piece) for piece in pieces] == [500, 500]
    pieces += cut.last()
    assert [len(piece) for piece in pieces] == [500, 500, 203]
    assert pd.concat(pieces)["email"].tolist() == frame["email"].tolist()
    assert [*cut.last()] == []


def test_only_merge_fields_that_the_audience_has_are_sent() -> None:
    (member,) = members(differences(None), MemberStatus.PENDING, frozenset({"LNAME", "ADDRESS"}))
    assert member.merge_fields == {"LNAME": "last_name-0"}
    assert (member.email, member.status) == ("email-0", MemberStatus.PENDING)


def test_a_missing_name_is_not_sent() -> None:
    frame = differences(None).assign(first_name=pd.Series([None], dtype=ARROW_STRING))
    (member,) = members(frame, MemberStatus.SUBSCRIBED, frozenset({"FNAME", "LNAME"}))
    assert member.merge_fields == {"LNAME": "last_name-0"}
