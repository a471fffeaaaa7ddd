"""Recorded statements, and each rule of `consent.decision`."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from mailchimp_pipeline.consent import ConsentStatement
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.segment_member_store import MemberStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import RejectedContactRow, SegmentMemberRow
from mailchimp_pipeline.sync import MemberState, MemberStatus, Rejection
from mailchimp_pipeline_tests.database.builders import (
    ACME,
    AT,
    KEYRING,
    LIST,
    MINUTE,
    a_member,
    a_segment,
    members,
    put_members,
)
from mailchimp_pipeline_tests.database.consent_scenario import (
    ANN,
    BOB,
    OTHER_LIST,
    VENDOR,
    Organisation,
    direct_statement,
    mailchimp_statement,
)

X, Y = "x@acme.test", "y@acme.test"
TEN_MINUTES = timedelta(minutes=10)
SECOND = timedelta(seconds=1)


@pytest.fixture
def acme(database: Database) -> Organisation:
    return Organisation(database)


# Recording.


def test_a_statement_of_an_audience_is_recorded_once(acme: Organisation) -> None:
    statement = mailchimp_statement(X, ANN)
    assert (
        acme.record(statement),
        acme.record(statement, mailchimp_statement(X, BOB)),
        acme.record(statement, mailchimp_statement(X, BOB)),
    ) == (1, 1, 0)
    assert list(acme.statements(ANN)) == [statement]


def test_a_statement_made_here_is_recorded_each_time(acme: Organisation) -> None:
    assert [acme.record(direct_statement(ANN, X)) for _ in range(2)] == [1, 1]


def test_each_statement_of_a_contact_is_in_the_audit_log(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X, opted_in=True), mailchimp_statement(X, ANN), mailchimp_statement(Y))
    with acme.database.organisation(ACME) as session:
        entries = [entry for entry in audit_log.entries(session, limit=9).items if entry.entity.type == "employee"]
    assert [(entry.action, entry.details) for entry in entries] == [
        ("preference.opted_out", {"consent_source": "mailchimp", "mailchimp_list_id": LIST, "channel": "link"}),
        ("preference.opted_in", {"consent_source": "letter"}),
    ]


def test_the_audit_log_holds_no_address(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X), mailchimp_statement(X, ANN))
    with acme.database.organisation(ACME) as session:
        assert subscriber_hash(X) not in repr(audit_log.entries(session, limit=9).items)


def test_a_withdrawal_is_attributed_to_the_later_contact_of_its_address(acme: Organisation) -> None:
    acme.record(mailchimp_statement(X))
    acme.staff = {ANN: X, BOB: Y}
    acme.record_addresses()
    acme.record_addresses()
    assert list(acme.statements(ANN)) == [mailchimp_statement(X, ANN)]
    assert acme.preference(BOB) is None


def test_a_withdrawal_before_an_opt_in_is_not_attributed(acme: Organisation) -> None:
    acme.record(mailchimp_statement(X))
    acme.record(direct_statement(BOB, X, opted_in=True))
    acme.staff = {ANN: X}
    acme.record_addresses()
    assert acme.preference(ANN) is None


# Rule 1.


def test_an_erased_contact_is_excluded_at_every_address(acme: Organisation) -> None:
    acme.staff = {ANN: X}
    acme.erase(ANN)
    assert acme.exclusion(ANN, Y) == "erased"


def test_a_contact_at_the_address_of_an_erased_one_is_excluded(acme: Organisation) -> None:
    acme.staff = {ANN: X}
    acme.erase(ANN)
    assert (acme.exclusion(BOB, X), acme.exclusion(BOB, Y)) == ("erased", None)


def test_a_contact_at_the_present_address_of_an_erased_one_is_excluded(acme: Organisation) -> None:
    acme.staff = {ANN: X}
    acme.erase(ANN)
    acme.staff = {ANN: Y, BOB: Y}
    assert acme.exclusion(BOB, Y) == "erased"


# Rule 2.


def test_a_contact_who_opted_out_is_excluded_at_every_address(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X))
    assert acme.exclusion(ANN, Y) == "opted_out"


@pytest.mark.parametrize("email", [X, Y])
def test_a_contact_who_opts_in_again_at_the_address_may_be_e_mailed(acme: Organisation, email: str) -> None:
    acme.record(direct_statement(ANN, email))
    acme.record(direct_statement(ANN, email, opted_in=True))
    assert acme.exclusion(ANN, email) is None


# Rule 3.


def test_a_withdrawal_at_an_address_excludes_every_contact_with_the_address(acme: Organisation) -> None:
    acme.record(mailchimp_statement(X))
    assert (acme.exclusion(ANN, X), acme.exclusion(ANN, Y)) == ("opted_out", None)


def test_an_opt_in_of_any_contact_with_the_address_lifts_its_withdrawal(acme: Organisation) -> None:
    acme.record(mailchimp_statement(X))
    acme.record(direct_statement(ANN, X, opted_in=True))
    assert acme.exclusion(BOB, X) is None


def test_an_opt_in_counts_for_the_present_address_and_not_for_the_one_that_was_shared(acme: Organisation) -> None:
    acme.record(mailchimp_statement(X, ANN), mailchimp_statement(X, VENDOR))
    acme.staff = {ANN: Y, VENDOR: X}
    acme.update(ANN, opted_in=True)
    assert (acme.exclusion(ANN, Y), acme.exclusion(VENDOR, X)) == (None, "opted_out")


# Rule 4.


def test_a_contact_at_the_present_address_of_one_who_opted_out_is_excluded(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X))
    acme.staff = {ANN: Y, BOB: Y}
    assert acme.exclusion(BOB, Y) is None
    acme.record_addresses()
    assert acme.exclusion(BOB, Y) == "opted_out"


def test_a_contact_who_left_the_source_has_no_address_there(acme: Organisation) -> None:
    acme.record(direct_statement(ANN))
    acme.staff = {ANN: Y}
    acme.record_addresses()
    acme.staff = {BOB: Y}
    acme.record_addresses()
    assert acme.exclusion(BOB, Y) is None


# Rule 5.


def test_where_consent_is_required_only_a_contact_who_opted_in_may_be_e_mailed(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X, opted_in=True), direct_statement(BOB, Y))
    acme.require_consent()
    assert [acme.exclusion(*contact) for contact in ((ANN, X), (BOB, Y), (VENDOR, "z@acme.test"))] == [
        None,
        "opted_out",
        "no_consent",
    ]


def test_consent_is_required_only_while_the_organisation_is_connected(acme: Organisation) -> None:
    acme.require_consent()
    with acme.database.organisation(ACME) as session:
        ConnectionStore(session, KEYRING).disconnect(by="alice", at=AT)
    assert acme.exclusion(ANN, X) is None


# Order of statements.


def test_a_direct_opt_in_is_later_than_recorded_statements_regardless_of_clocks(acme: Organisation) -> None:
    acme.record(mailchimp_statement(X, ANN, at=AT + timedelta(days=1)))
    acme.record(direct_statement(ANN, X, opted_in=True, at=AT))
    assert acme.exclusion(ANN, X) is None


@pytest.mark.parametrize(
    ("before", "exclusion"),
    [(TEN_MINUTES + SECOND, None), (TEN_MINUTES, "opted_out"), (SECOND, "opted_out"), (-MINUTE, "opted_out")],
)
def test_a_pulled_withdrawal_wins_within_ten_minutes_of_an_opt_in(
    acme: Organisation, before: timedelta, exclusion: str | None
) -> None:
    acme.record(direct_statement(ANN, X, opted_in=True, at=AT))
    acme.record(mailchimp_statement(X, ANN, at=AT - before))
    assert acme.exclusion(ANN, X) == exclusion


@pytest.mark.parametrize(
    ("back", "exclusion"),
    [
        (mailchimp_statement(X, ANN, opted_in=True, at=AT + SECOND), None),
        (mailchimp_statement(X, ANN, opted_in=True, at=AT), "opted_out"),
        (mailchimp_statement(X, ANN, opted_in=True, at=AT + MINUTE, list_id=OTHER_LIST), "opted_out"),
    ],
)
def test_a_sign_up_comes_after_an_earlier_withdrawal_in_the_same_audience_alone(
    acme: Organisation, back: ConsentStatement, exclusion: str | None
) -> None:
    acme.record(mailchimp_statement(X, ANN))
    acme.record(back)
    assert acme.exclusion(ANN, X) == exclusion


def test_a_sign_up_does_not_lift_a_direct_opt_out(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X))
    acme.record(mailchimp_statement(X, ANN, opted_in=True, at=AT + timedelta(days=1)))
    assert acme.exclusion(ANN, X) == "opted_out"


def test_a_withdrawal_in_another_audience_stays_when_the_contact_comes_back_to_one(acme: Organisation) -> None:
    acme.record(mailchimp_statement(X, ANN), mailchimp_statement(X, ANN, list_id=OTHER_LIST))
    acme.record(mailchimp_statement(X, ANN, opted_in=True, at=AT + MINUTE))
    assert acme.exclusion(ANN, X) == "opted_out"


# Queries that apply the rules.


def test_members_who_may_not_be_e_mailed_are_counted_before_a_push(acme: Organisation) -> None:
    segment = a_segment(acme.database)
    put_members(acme.database, segment, a_member(X, entity_id="1"), a_member(Y, entity_id="2"))
    before = acme.records.count_suppressed(segment, acme.erased())
    acme.record(direct_statement(ANN, X))
    assert (before, acme.records.count_suppressed(segment, acme.erased())) == (0, 1)
    with acme.database.organisation(ACME) as session:
        assert MemberStore(session).remove_suppressed(segment.id, acme.erased()) == 1
        assert session.scalars(select(SegmentMemberRow.entity_id)).all() == ["2"]


def test_a_contact_who_opts_out_during_a_push_is_not_sent(acme: Organisation) -> None:
    segment, ledger = a_segment(acme.database), acme.ledger()
    put_members(acme.database, segment, a_member(X, entity_id="1"), a_member(Y, entity_id="2"))
    ledger.finish_reading(AT)
    about_to_be_sent = members(a_member(X, entity_id="1"), a_member(Y, entity_id="2"))
    before = ledger.recheck(segment.id, about_to_be_sent)
    acme.record(direct_statement(ANN, X))
    after = ledger.recheck(segment.id, about_to_be_sent)
    assert before == {}
    assert {key: each.may_be_sent for key, each in after.items()} == {
        subscriber_hash(X): False,
        subscriber_hash(Y): True,
    }


def test_an_opt_out_is_outstanding_in_every_audience_also_without_a_segment(acme: Organisation) -> None:
    for list_id in (LIST, OTHER_LIST):
        acme.ledger(list_id).record_member_states([MemberState(subscriber_hash(X), MemberStatus.SUBSCRIBED, AT)])
        acme.ledger(list_id).finish_reading(AT)
    assert acme.records.audiences_to_unsubscribe(ACME) == []
    acme.record(direct_statement(ANN, X))
    assert acme.records.audiences_to_unsubscribe(ACME) == [LIST, OTHER_LIST]


def test_statements_and_erasures_of_another_organisation_exclude_nobody(acme: Organisation) -> None:
    globex = Organisation(acme.database, "globex", {ANN: X})
    globex.record(direct_statement(BOB, Y))
    globex.erase(ANN)
    assert (acme.exclusion(ANN, X), acme.exclusion(BOB, Y)) == (None, None)


# Erasure.


def test_an_erasure_removes_the_contacts_statements_and_its_address_from_those_of_others(acme: Organisation) -> None:
    acme.record(direct_statement(ANN, X), direct_statement(BOB, X), mailchimp_statement(X))
    acme.staff = {ANN: X, BOB: Y}
    acme.erase(ANN)
    assert (acme.preference(ANN), list(acme.statements(ANN, X))) == (None, [])
    assert list(acme.statements(BOB, X)) == [direct_statement(BOB)]
    assert acme.exclusion(BOB, Y) == "opted_out"


def test_an_erasure_removes_what_mailchimp_rejected_of_the_contact(acme: Organisation) -> None:
    ledger, sent = acme.ledger(), members(a_member(X, entity_id="1"), a_member(Y, entity_id="2"))
    rejected = dict.fromkeys([subscriber_hash(X), subscriber_hash(Y)], Rejection.FAKE)
    ledger.record_rejected(sent.assign(digest="d"), rejected, of_whole_batch=False)
    acme.staff = {ANN: "new@acme.test"}
    acme.erase(ANN)
    with acme.database.organisation(ACME) as session:
        assert list(session.scalars(select(RejectedContactRow.entity_id))) == ["2"]


def test_an_opt_in_lifts_the_erasure_of_its_own_contact(acme: Organisation) -> None:
    acme.staff = {ANN: X}
    acme.erase(ANN)
    acme.update(ANN, opted_in=True)
    assert acme.exclusion(ANN, X) is None
    with acme.database.organisation(ACME) as session:
        assert audit_log.entries(session, limit=1).items[0].action == "erasure.lifted"


def test_an_opt_in_at_the_address_of_an_erased_contact_lifts_nothing(acme: Organisation) -> None:
    acme.staff = {ANN: X}
    acme.erase(ANN)
    acme.staff = {ANN: Y, VENDOR: X}
    acme.update(VENDOR, opted_in=True)
    assert (acme.exclusion(ANN, Y), acme.exclusion(VENDOR, X)) == ("erased", "erased")


def test_an_address_of_two_erasures_stays_erased_until_both_are_lifted(acme: Organisation) -> None:
    acme.staff = {ANN: X, BOB: X}
    acme.erase(ANN)
    acme.erase(BOB)
    acme.update(ANN, opted_in=True)
    assert acme.exclusion(ANN, X) == "erased"
    acme.update(BOB, opted_in=True)
    assert acme.exclusion(ANN, X) is None


def test_an_opt_out_lifts_no_erasure(acme: Organisation) -> None:
    acme.staff = {ANN: X}
    acme.erase(ANN)
    acme.update(ANN, opted_in=False)
    assert acme.exclusion(ANN, X) == "erased"
