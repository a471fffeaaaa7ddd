"""What is still to be asked for an erasure, and which answer settles it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.erasure import (
    Deletion,
    ErasureRequest,
    ErasureStatus,
    OpenDeletion,
    Targets,
    Trace,
    pause_after,
)

A, B = "a" * 32, "b" * 32
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def targets(*traces: Trace, addresses: tuple[str, ...] = (A,)) -> Targets:
    return Targets(entity_type=EntityType.EMPLOYEE, entity_id="1", addresses=addresses).with_traces(traces)


def a_trace(list_id: str = "l1", address: str = A, contact_id: str | None = None) -> Trace:
    return Trace(list_id=list_id, subscriber_hash=address, contact_id=contact_id)


def a_request(*, attempts: int = 1, tried: datetime | None = NOW, status: str = "pending") -> ErasureRequest:
    return ErasureRequest("1", "acme", ErasureStatus(status), 0, attempts, tried, None, "alice", NOW, None)


def keys(open_deletions: "list[OpenDeletion] | tuple[OpenDeletion, ...]") -> list[tuple[str, str]]:
    return [open_deletion.key for open_deletion in open_deletions]


def test_every_address_is_asked_for_in_every_audience_and_first_where_it_was() -> None:
    asked = targets(a_trace("l2"), addresses=(A, B)).open_deletions(["l1", "l2"])
    assert keys(list(asked)) == [("l2", A), ("l2", B), ("l1", A), ("l1", B)]
    assert [open_deletion.was_there for open_deletion in asked] == [True, False, False, False]


def test_what_is_settled_is_not_asked_again_until_the_contact_turns_up_once_more() -> None:
    settled = targets(a_trace()).with_settled(OpenDeletion("l1", A, was_there=True), deleted=True)
    assert list(settled.open_deletions(["l1"])) == []
    assert keys(list(settled.with_traces([a_trace()]).open_deletions(["l1"]))) == [("l1", A)]


def test_an_address_that_turns_up_later_is_asked_for_everywhere() -> None:
    settled = targets(a_trace()).with_settled(OpenDeletion("l1", A, was_there=True), deleted=True)
    assert keys(list(settled.with_addresses([B]).open_deletions(["l1", "l2"]))) == [("l1", B), ("l2", A), ("l2", B)]


@pytest.mark.parametrize(
    ("was_there", "contact_id", "deletion", "is_settled"),
    [
        (False, None, Deletion.DELETED, True),
        (False, None, Deletion.UNKNOWN, True),
        (True, None, Deletion.DELETED, True),
        (True, None, Deletion.UNKNOWN, False),
        (True, None, Deletion.GONE_UNHEARD, True),
        (True, "c1", Deletion.UNKNOWN, False),
        (True, "c1", Deletion.GONE_UNHEARD, False),
        (True, "c1", Deletion.DELETED, True),
    ],
)
def test_an_unknown_address_settles_it_only_where_it_never_was(
    *, was_there: bool, contact_id: str | None, deletion: Deletion, is_settled: bool
) -> None:
    assert OpenDeletion("l1", A, was_there, contact_id).is_settled_by(deletion) is is_settled


def test_a_lasting_id_once_known_is_not_forgotten() -> None:
    known = targets(a_trace(contact_id="c1")).with_traces([a_trace()])
    assert [open_deletion.contact_id for open_deletion in known.open_deletions([])] == ["c1"]


def test_audiences_are_counted_where_it_is_or_was() -> None:
    asked = targets(a_trace("l1")).with_settled(OpenDeletion("l2", A, was_there=False), deleted=True)
    asked = asked.with_settled(OpenDeletion("l3", A, was_there=False), deleted=False)
    assert asked.audiences == 2
    assert asked.is_anywhere


def test_what_somebody_else_wrote_down_meanwhile_is_kept() -> None:
    ours = targets(a_trace("l1")).with_settled(OpenDeletion("l1", A, was_there=True), deleted=True)
    theirs = targets(a_trace("l1"), a_trace("l2", B)).model_copy(update={"source_read": True})
    joined = ours.joined_with(theirs)
    assert keys(list(joined.open_deletions([]))) == [("l1", B), ("l2", A), ("l2", B)]
    assert joined.source_read


@given(st.integers(0, 10_000))
def test_pauses_grow_up_to_six_hours(attempts: int) -> None:
    assert timedelta(minutes=1) <= pause_after(attempts) <= pause_after(attempts + 1) <= timedelta(hours=6)


def test_an_erasure_is_due_when_its_pause_is_over() -> None:
    assert a_request(tried=None).is_due(NOW)
    assert [a_request(attempts=3).is_due(NOW + timedelta(minutes=minutes)) for minutes in (3, 4)] == [False, True]
    assert not a_request(status="completed", tried=None).is_due(NOW)
