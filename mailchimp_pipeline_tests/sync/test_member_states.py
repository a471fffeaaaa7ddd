"""Every transition of a member's status in the table of the docstring: in Python, and in the ledger's SQL."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.segments import OnLeave
from mailchimp_pipeline.sync import KnownStatus, MemberRef, MemberState, MemberStatus, member_states, plan
from mailchimp_pipeline.sync.member_states import (
    Action,
    ImpossibleTransition,
    after_archiving,
    is_allowed,
    status_after_report,
)
from mailchimp_pipeline_tests.database.builders import (
    ACME,
    AT,
    MINUTE,
    a_ledger,
    a_member,
    a_segment,
    put_members,
    record_preference,
)

Known = KnownStatus | None

KNOWN: list[Known] = [None, *KnownStatus]
LATER, EARLIER = AT + 2 * MINUTE, AT - MINUTE
"""The time of a member's change. Its known status is of `AT`."""


def cells(first: str) -> list[str]:
    """Return the other cells of the row that starts with this one in the docstring's tables."""
    (row,) = re.findall(rf"^\| {re.escape(first)} +\| (.*) \|$", member_states.__doc__ or "", re.MULTILINE)
    return [cell.strip() for cell in row.split(" | ")]


def name(known: Known) -> str:
    return "absent (null)" if known is None else known.value


def expected_status(known: Known, status: MemberStatus | None, *, is_later: bool) -> Known:
    """Return the resulting status in the table."""
    archived, other, absent, _ = cells(name(known))
    if status is None:
        assert absent == "absent"
        return None
    if status is not MemberStatus.ARCHIVED:
        assert other == "that status"
        return KnownStatus(status.value)
    if archived == "removed, or archived where the member changed later":
        return KnownStatus.ARCHIVED if is_later else KnownStatus.REMOVED
    return KnownStatus(archived)


def transitions() -> Iterator[tuple[Known, MemberStatus | None, timedelta, Known]]:
    """Yield known status, reported status, delay of the change and resulting status."""
    for known in KNOWN:
        for status in (None, *MemberStatus):
            for after in (timedelta(), LATER - AT):
                yield known, status, after, expected_status(known, status, is_later=after > timedelta())
            # Older reports change nothing.
            yield known, status, EARLIER - AT, known


def test_each_status_follows_from_the_known_one_and_from_what_mailchimp_tells() -> None:
    for known, status, after, expected in transitions():
        found = status_after_report(known, status, known_at=AT, changed_at=AT + after)
        assert found is expected, (known, status, after)


def test_without_times_what_mailchimp_tells_is_taken_and_our_archiving_stays_ours() -> None:
    for known in KNOWN:
        for status in (None, *MemberStatus):
            assert status_after_report(known, status) is expected_status(known, status, is_later=False)


def archived_by_us(known: Known) -> Known:
    *_, archived = cells(name(known))
    return None if archived == "impossible" else KnownStatus(archived)


@pytest.mark.parametrize("known", KNOWN)
def test_only_a_member_whom_mailchimp_archives_becomes_removed(known: Known) -> None:
    if expected := archived_by_us(known):
        assert after_archiving(known) is expected
    else:
        with pytest.raises(ImpossibleTransition, match="This is a defect"):
            after_archiving(known)


@pytest.mark.parametrize(
    ("action", "row"),
    [
        (Action.ADD, "add a contact"),
        (Action.CHANGE, "change its data, or its address"),
        (Action.SUBSCRIBE_AGAIN, "subscribe it again, after an opt-in"),
        (Action.ARCHIVE, "archive it"),
        (Action.UNSUBSCRIBE, "unsubscribe it"),
    ],
)
def test_each_action_is_allowed_in_the_statuses_of_its_row(action: Action, row: str) -> None:
    (statuses,) = cells(row)
    allowed = {None if each == "absent" else KnownStatus(each) for each in statuses.split(", ")}
    assert {known for known in KNOWN if is_allowed(action, known)} == allowed


def know(database: Database, ledger: DatabaseLedger, statuses: dict[str, Known]) -> None:
    """Record members with these statuses at `AT` in the ledger."""
    ledger.record_member_states([MemberState(key, MemberStatus.SUBSCRIBED, AT) for key in statuses])
    with database.organisation(ACME) as session:
        for key, known in statuses.items():
            of_key = update(AudienceMemberRow).where(AudienceMemberRow.subscriber_hash == key)
            session.execute(of_key.values(status=known, first_pushed_at=AT))


def known_to(database: Database) -> dict[str, Known]:
    """Return the members in the ledger with their statuses."""
    with database.organisation(ACME) as session:
        rows = session.execute(select(AudienceMemberRow.subscriber_hash, AudienceMemberRow.status)).all()
    return {key: None if status is None else KnownStatus(status) for key, status in rows}


def test_the_ledger_follows_the_same_transitions(database: Database) -> None:
    ledger = a_ledger(database)
    ledger.finish_reading(AT)
    cases = {f"{place:032x}": case for place, case in enumerate(transitions())}
    know(database, ledger, {key: known for key, (known, *_) in cases.items()})
    states = [
        MemberState(key, status, AT + after) for key, (_, status, after, _) in cases.items() if status is not None
    ]
    ledger.record_member_states(states)
    found, expected = known_to(database), {key: case[-1] for key, case in cases.items() if case[1] is not None}
    assert {key: found[key] for key in expected} == expected


def test_the_ledger_records_our_archiving_and_that_a_member_is_gone_in_the_same_way(database: Database) -> None:
    ledger = a_ledger(database)
    statuses = {f"{place:032x}": known for place, known in enumerate(KNOWN)}
    know(database, ledger, statuses)
    for key, known in statuses.items():
        if expected := archived_by_us(known):
            ledger.record_archived(key, LATER)
            # Mailchimp reports it, too.
            ledger.record_member_states([MemberState(key, MemberStatus.ARCHIVED, LATER)])
            assert known_to(database)[key] is expected
        else:
            with pytest.raises(ImpossibleTransition):
                ledger.record_archived(key, LATER)
        ledger.record_result(key, None)
    assert set(known_to(database).values()) == {None}


def test_the_ledger_offers_members_for_what_is_allowed_in_their_status(database: Database) -> None:
    ledger, segment = a_ledger(database), a_segment(database)
    ledger.finish_reading(AT)
    emails = {known: f"{known or 'absent'}@acme.test" for known in KNOWN}
    keys = {known: subscriber_hash(email) for known, email in emails.items()}
    staff = [a_member(email, entity_id=str(place)) for place, email in enumerate(emails.values())]
    put_members(database, segment, *staff)
    know(database, ledger, {keys[known]: known for known in KNOWN})

    def allowed(action: Action) -> set[str]:
        return {keys[known] for known in KNOWN if is_allowed(action, known)}

    (piece,) = ledger.compare(segment.id)
    planned = plan(piece.differences)
    assert set(planned.new["subscriber_hash"]) == allowed(Action.ADD)
    assert set(planned.changed["subscriber_hash"]) == allowed(Action.CHANGE)
    assert planned.returning.empty
    for place in range(len(staff)):
        record_preference(database, str(place), opted_in=True)
    (piece,) = ledger.compare(segment.id)
    assert set(plan(piece.differences).returning["subscriber_hash"]) == allowed(Action.SUBSCRIBE_AGAIN)
    put_members(database, segment, on_leave=OnLeave.ARCHIVE, departures_confirmed=True)
    assert set(ledger.leavers()) == {MemberRef(key) for key in allowed(Action.ARCHIVE)}
    for place in range(len(staff)):
        record_preference(database, str(place), opted_in=False)
    assert set(ledger.members_to_unsubscribe()) == {MemberRef(key) for key in allowed(Action.UNSUBSCRIBE)}
