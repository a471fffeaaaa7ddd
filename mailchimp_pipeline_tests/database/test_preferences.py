"""Preferences as derived from a contact's statements, with times and in pages."""

from datetime import timedelta

import pytest

from mailchimp_pipeline.consent import ConsentStatement, Preference
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.preference_store import PreferenceStore, suppressed_relations
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline_tests.database.builders import ACME, AT, MINUTE
from mailchimp_pipeline_tests.database.consent_scenario import (
    ANN,
    BOB,
    VENDOR,
    Organisation,
    direct_statement,
    mailchimp_statement,
)

X = "x@acme.test"
HOUR = timedelta(hours=1)


@pytest.fixture
def acme(database: Database) -> Organisation:
    return Organisation(database)


def test_a_preference_has_the_time_and_the_source_of_its_statement(acme: Organisation) -> None:
    acme.now = AT + MINUTE
    acme.record(direct_statement(ANN, X, at=AT))
    assert acme.preference(ANN) == Preference(
        *ANN,
        opted_in=False,
        consent_given_at=None,
        consent_withdrawn_at=AT,
        consent_source="letter",
        updated_at=AT + MINUTE,
    )
    assert acme.preference(VENDOR) is None


@pytest.mark.parametrize(
    ("statements", "opted_in", "source"),
    [
        ([direct_statement(ANN, X, at=AT), direct_statement(ANN, X, at=AT + HOUR, opted_in=True)], True, "letter"),
        ([direct_statement(ANN, X, at=AT, opted_in=True), direct_statement(ANN, X, at=AT + HOUR)], False, "letter"),
        ([mailchimp_statement(X, ANN, at=AT + HOUR), direct_statement(ANN, X, at=AT, opted_in=True)], True, "letter"),
        # Pulled after the opt-in, but made before it.
        ([direct_statement(ANN, X, at=AT + HOUR, opted_in=True), mailchimp_statement(X, ANN, at=AT)], True, "letter"),
        (
            [mailchimp_statement(X, ANN, at=AT), mailchimp_statement(X, ANN, at=AT + HOUR, opted_in=True)],
            True,
            "mailchimp",
        ),
        ([direct_statement(ANN, X, at=AT), mailchimp_statement(X, ANN, at=AT + HOUR, opted_in=True)], False, "letter"),
    ],
)
def test_a_preference_keeps_the_times_of_the_latest_opt_in_and_withdrawal(
    acme: Organisation, statements: list[ConsentStatement], source: str, *, opted_in: bool
) -> None:
    acme.record(*statements)
    preference = acme.preference(ANN)
    given, withdrawn = (
        next(each.stated_at for each in statements if each.opted_in is wanted) for wanted in (True, False)
    )
    assert preference is not None
    assert (preference.opted_in, preference.consent_source) == (opted_in, source)
    assert (preference.consent_given_at, preference.consent_withdrawn_at) == (given, withdrawn)


def test_preferences_are_listed_the_last_changed_first(acme: Organisation) -> None:
    for number in range(3):
        acme.now = AT + number * MINUTE
        acme.record(direct_statement((EntityType.EMPLOYEE, f"{number}/x")))
    with acme.database.organisation(ACME) as session:
        store = PreferenceStore(session)
        first = store.list(limit=2)
        second = store.list(limit=2, cursor=first.next_cursor)
    assert [it.entity_id for it in (*first.items, *second.items)] == ["2/x", "1/x", "0/x"]
    assert second.next_cursor is None


def test_only_relations_with_a_contact_who_opted_out_have_to_be_read(acme: Organisation) -> None:
    acme.record(direct_statement(BOB), direct_statement(VENDOR, opted_in=True))
    with acme.database.organisation(ACME) as session:
        assert suppressed_relations(session) == {EntityType.EMPLOYEE}
