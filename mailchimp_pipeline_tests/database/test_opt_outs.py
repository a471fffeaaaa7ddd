"""Opt-outs that Mailchimp does not know yet, and the members that still get campaigns."""

from datetime import timedelta

import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database.audience_members import organisations_with_opt_outs
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sync import MemberState, MemberStatus
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, MINUTE
from mailchimp_pipeline_tests.database.consent_scenario import (
    ANN,
    BOB,
    OTHER_LIST,
    Organisation,
    direct_statement,
    mailchimp_statement,
)

X, Y = "x@acme.test", "y@acme.test"


@pytest.fixture
def acme(database: Database) -> Organisation:
    return Organisation(database)


def has(acme: Organisation, status: MemberStatus, email: str = X, list_id: str = LIST) -> None:
    """Pull an audience with a member that the pipeline did not send."""
    acme.ledger(list_id).record_member_states([MemberState(subscriber_hash(email), status, AT)])
    acme.ledger(list_id).finish_reading(AT)


def outstanding(acme: Organisation, list_id: str = LIST) -> set[str]:
    """Return the members still to unsubscribe, after recording the current addresses."""
    acme.records.suppressions(ACME, acme.contacts())
    return {ref.subscriber_hash for ref in acme.ledger(list_id).members_to_unsubscribe()}


def due(acme: Organisation, after: timedelta = timedelta(0)) -> list[str]:
    with acme.database.everyone() as session:
        return organisations_with_opt_outs(session, AT + after)


@pytest.mark.parametrize("status", [MemberStatus.SUBSCRIBED, MemberStatus.PENDING])
def test_a_member_at_the_present_address_of_a_contact_who_opted_out_is_unsubscribed(
    acme: Organisation, status: MemberStatus
) -> None:
    has(acme, status)
    acme.record(direct_statement(ANN))
    acme.staff = {ANN: X}
    assert outstanding(acme) == {subscriber_hash(X)}
    assert acme.records.audiences_to_unsubscribe(ACME) == [LIST]


@pytest.mark.parametrize("status", [MemberStatus.UNSUBSCRIBED, MemberStatus.CLEANED, MemberStatus.ARCHIVED])
def test_a_member_who_gets_no_campaigns_is_left_alone(acme: Organisation, status: MemberStatus) -> None:
    has(acme, status)
    acme.record(direct_statement(ANN, X))
    assert outstanding(acme) == set()


def test_a_member_at_the_address_of_a_contact_who_stated_nothing_is_left_alone(acme: Organisation) -> None:
    has(acme, MemberStatus.SUBSCRIBED)
    acme.record(direct_statement(BOB, Y))
    acme.staff = {ANN: X, BOB: Y}
    assert outstanding(acme) == set()


def test_a_member_at_the_former_address_of_an_opted_out_contact_is_left_alone(acme: Organisation) -> None:
    has(acme, MemberStatus.SUBSCRIBED)
    acme.record(direct_statement(ANN, Y))
    acme.staff = {ANN: Y, BOB: X}
    assert outstanding(acme) == set()


def test_a_withdrawal_in_one_audience_is_outstanding_in_the_others(acme: Organisation) -> None:
    has(acme, MemberStatus.UNSUBSCRIBED)
    has(acme, MemberStatus.SUBSCRIBED, list_id=OTHER_LIST)
    assert outstanding(acme, OTHER_LIST) == {subscriber_hash(X)}


def test_a_new_withdrawal_makes_an_organisation_due(acme: Organisation) -> None:
    acme.records.mark_propagated(ACME, AT - MINUTE)
    assert due(acme) == []
    acme.record(mailchimp_statement(X))
    assert due(acme) == [ACME]
    acme.records.mark_propagated(ACME, AT + MINUTE)
    assert due(acme) == []
    acme.now = AT + 2 * MINUTE
    acme.record(direct_statement(ANN, X))
    assert due(acme) == [ACME]


def test_an_organisation_is_due_the_first_time(acme: Organisation) -> None:
    assert due(acme) == [ACME]


def test_an_opt_in_is_nothing_to_propagate(acme: Organisation) -> None:
    acme.records.mark_propagated(ACME, AT - MINUTE)
    acme.record(direct_statement(ANN, X, opted_in=True))
    assert due(acme) == []


def test_audiences_are_due_each_day(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X))
    acme.records.mark_propagated(ACME, AT + MINUTE)
    assert (due(acme, timedelta(hours=24)), due(acme, timedelta(hours=25))) == ([], [ACME])


def test_a_disconnected_organisation_is_not_due(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X))
    with acme.database.organisation(ACME) as session:
        ConnectionStore(session, KEYRING).disconnect(by="alice", at=AT)
    assert due(acme) == []
