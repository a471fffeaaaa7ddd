"""Random histories of statements: the three implementations of the consent decision against a model of the rule."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from mailchimp_pipeline.consent import Contact
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.contacts.text_columns import text_column
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import ConsentStatementRow
from mailchimp_pipeline.segments import Exclusion, FilterCriteria, Population, SegmentType
from mailchimp_pipeline.sync import MemberState, MemberStatus
from mailchimp_pipeline_tests.database.builders import AT, KEYRING, LIST, a_member, a_segment, members, put_members
from mailchimp_pipeline_tests.database.consent_scenario import (
    ANN,
    BOB,
    OTHER_LIST,
    VENDOR,
    Organisation,
    mailchimp_statement,
)

PEOPLE = (ANN, BOB, VENDOR)
EMAILS = ("x@acme.test", "y@acme.test", "z@acme.test")
MINUTE, TEN_MINUTES = timedelta(minutes=1), timedelta(minutes=10)
_numbers = count(1)


@dataclass(frozen=True)
class Statement:
    """A recorded statement. `place` is its position in the order of recording."""

    place: int
    contact: Contact | None
    address: str | None
    opted_in: bool
    list_id: str | None
    at: datetime

    def comes_after(self, withdrawn: "Statement") -> bool:
        if self.list_id is not None:
            return self.list_id == withdrawn.list_id and self.at > withdrawn.at
        is_pulled_late = withdrawn.list_id is not None and self.at > withdrawn.at + TEN_MINUTES
        return self.place > withdrawn.place or is_pulled_late


@dataclass(frozen=True)
class Rule:
    """The rule of `consent.decision` over complete history."""

    statements: Sequence[Statement]
    erased_contacts: frozenset[Contact]
    erased_addresses: frozenset[str]
    present: dict[Contact, str]
    consent_is_required: bool

    def exclusion(self, contact: Contact) -> str | None:
        address = self.present[contact]
        if address in self.erased_addresses or not self.erased_contacts.isdisjoint(self.holders(address)):
            return "erased"
        if self.opted_out(contact):
            return "opted_out"
        is_given = any(each.opted_in and each.contact == contact for each in self.statements)
        return "no_consent" if self.consent_is_required and not is_given else None

    def opted_out(self, contact: Contact) -> bool:
        address = self.present[contact]
        return self._is_withdrawn(lambda each: each.address == address) or any(
            self._is_withdrawn(lambda each, who=holder: each.contact == who) for holder in self.holders(address)
        )

    def holders(self, address: str) -> list[Contact]:
        return [contact for contact, theirs in self.present.items() if theirs == address]

    def _is_withdrawn(self, is_about: Callable[[Statement], bool]) -> bool:
        about = [each for each in self.statements if is_about(each)]
        given = [each for each in about if each.opted_in]
        return any(not each.opted_in and not any(one.comes_after(each) for one in given) for each in about)


@dataclass(frozen=True)
class Said:
    """A contact makes a statement to the organisation."""

    contact: Contact
    opted_in: bool

    def happen(self, acme: Organisation) -> None:
        acme.update(self.contact, opted_in=self.opted_in)


@dataclass(frozen=True)
class Told:
    """Mailchimp reports a statement of this age by its clock."""

    email: str
    contact: Contact | None
    opted_in: bool
    list_id: str
    ago: timedelta

    def happen(self, acme: Organisation) -> None:
        at = acme.now - self.ago
        acme.record(mailchimp_statement(self.email, self.contact, opted_in=self.opted_in, at=at, list_id=self.list_id))


@dataclass(frozen=True)
class Moved:
    """The source has another address of a contact."""

    contact: Contact
    email: str

    def happen(self, acme: Organisation) -> None:
        acme.staff[self.contact] = self.email


@dataclass(frozen=True)
class Erased:
    """A contact is erased."""

    contact: Contact

    def happen(self, acme: Organisation) -> None:
        acme.erase(self.contact)


@dataclass(frozen=True)
class Looked:
    """A sync records the source's addresses."""

    def happen(self, acme: Organisation) -> None:
        acme.record_addresses()


@dataclass(frozen=True)
class Waited:
    """Time passes."""

    time: timedelta

    def happen(self, acme: Organisation) -> None:
        acme.now += self.time


_contacts, _emails = st.sampled_from(PEOPLE), st.sampled_from(EMAILS)
_events = st.one_of(
    st.builds(Said, _contacts, st.booleans()),
    st.builds(
        Told,
        _emails,
        st.none() | _contacts,
        st.booleans(),
        st.sampled_from([LIST, OTHER_LIST]),
        st.sampled_from([-MINUTE, 0 * MINUTE, 9 * MINUTE, TEN_MINUTES, 11 * MINUTE]),
    ),
    st.builds(Moved, _contacts, _emails),
    st.builds(Erased, _contacts),
    st.builds(Looked),
    st.builds(Waited, st.sampled_from([MINUTE, 11 * MINUTE])),
)
_staff = st.fixed_dictionaries(dict.fromkeys(PEOPLE, _emails))


def the_rule(acme: Organisation, *, consent_is_required: bool) -> Rule:
    """Return the rule for the recorded history. Only erased contacts are looked up by hash."""
    present = {contact: subscriber_hash(email) for contact, email in acme.staff.items()}
    with acme.database.organisation(acme.organisation_id) as session:
        query = select(ConsentStatementRow).where(ConsentStatementRow.organisation_id == acme.organisation_id)
        statements = [
            Statement(
                row.id,
                None if row.entity_id is None else (EntityType(row.entity_type), row.entity_id),
                row.subscriber_hash,
                row.opted_in,
                row.mailchimp_list_id,
                row.stated_at,
            )
            for row in session.scalars(query)
        ]
        erased = ErasedContacts(session, KEYRING)
        contacts = frozenset(filter(erased.holds, PEOPLE))
        addresses = erased.of_addresses(map(subscriber_hash, EMAILS))
    return Rule(statements, contacts, addresses, present, consent_is_required)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(staff=_staff, events=st.lists(_events, max_size=12), consent_is_required=st.booleans())
def test_the_three_forms_of_the_decision_agree_with_the_rule(
    database: Database,
    staff: dict[Contact, str],
    events: list[Said | Told | Moved | Erased | Looked | Waited],
    *,
    consent_is_required: bool,
) -> None:
    acme = Organisation(database, f"acme-{next(_numbers)}", dict(staff))
    if consent_is_required:
        acme.require_consent()
    for event in events:
        event.happen(acme)
    suppressions, erased = acme.records.suppressions(acme.organisation_id, acme.contacts())
    rule = the_rule(acme, consent_is_required=consent_is_required)
    expected = {contact: rule.exclusion(contact) for contact in PEOPLE}

    assert {contact: acme.exclusion(contact, acme.staff[contact]) for contact in PEOPLE} == expected
    population = Population.prepare(the_three(acme.contacts()), suppressions)
    membership = population.membership(SegmentType.MIXED, FilterCriteria())
    assert (set(identities(membership.members)), membership.excluded) == by_population(rule, expected)
    assert_members(acme, rule, expected)
    # Reading must not change the history.
    assert acme.records.suppressions(acme.organisation_id, acme.contacts())[1] == erased
    assert the_rule(acme, consent_is_required=consent_is_required) == rule


def by_population(rule: Rule, expected: dict[Contact, str | None]) -> tuple[set[Contact], Counter[Exclusion]]:
    """Return the members and the number of exclusions. Only the first contact of an address is a member."""
    first: dict[str, Contact] = {}
    for contact in PEOPLE:
        if expected[contact] is None:
            first.setdefault(rule.present[contact], contact)
    excluded = Counter(Exclusion(reason) for reason in expected.values() if reason)
    duplicates = len(PEOPLE) - excluded.total() - len(first)
    return set(first.values()), excluded + Counter({Exclusion.DUPLICATE: duplicates})


def assert_members(acme: Organisation, rule: Rule, expected: dict[Contact, str | None]) -> None:
    """Assert that suppressed members of segments and audiences are the same as those found before a push."""
    ledger, erased = acme.ledger(), acme.erased()
    ledger.finish_reading(AT - timedelta(days=1))
    for contact in PEOPLE:
        segment = a_segment(acme.database, acme.organisation_id, name=contact[1])
        member = a_member(acme.staff[contact], entity_type=contact[0].value, entity_id=contact[1])
        put_members(acme.database, segment, member)
        assert acme.records.count_suppressed(segment, erased) == int(expected[contact] is not None)
        recheck = ledger.recheck(segment.id, members(member))
        # An erased contact is in no segment, so the query finds it only after a change.
        if recheck and expected[contact] != "erased":
            assert recheck[rule.present[contact]].may_be_sent == (expected[contact] is None)
    there_now = set(rule.present.values()) - rule.erased_addresses  # nothing is recorded for these
    ledger.record_member_states([MemberState(key, MemberStatus.SUBSCRIBED, AT) for key in sorted(there_now)])
    outstanding = {ref.subscriber_hash for ref in ledger.members_to_unsubscribe()}
    assert outstanding == {rule.present[contact] for contact in PEOPLE if rule.opted_out(contact)} & there_now


def identities(frame: pd.DataFrame) -> list[Contact]:
    kinds, ids = (text_column(frame[name]).to_pylist() for name in ("entity_type", "entity_id"))
    return [(EntityType(kind), str(entity_id)) for kind, entity_id in zip(kinds, ids, strict=True)]


def the_three(contacts: pd.DataFrame) -> pd.DataFrame:
    """Return the contacts without those that only keep the relations from being empty."""
    return contacts[contacts["entity_id"] != "90"].reset_index(drop=True)


def test_the_model_detects_a_rule_that_ignores_an_address() -> None:
    out = Statement(1, ANN, "x", opted_in=False, list_id=LIST, at=AT)
    rule = Rule([out], frozenset(), frozenset(), {ANN: "y", BOB: "x", VENDOR: "z"}, consent_is_required=False)
    assert [rule.exclusion(contact) for contact in PEOPLE] == ["opted_out", "opted_out", None]
    back = replace(out, place=2, opted_in=True, list_id=None)
    assert replace(rule, statements=[out, back]).exclusion(BOB) is None
