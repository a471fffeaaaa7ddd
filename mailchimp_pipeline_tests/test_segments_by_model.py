"""Membership against a simple model that decides about one contact after the other."""

import random
import unicodedata
from collections import Counter
from dataclasses import dataclass

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import ARROW_STRING, ATTRIBUTES, subscriber_hash
from mailchimp_pipeline.segments import Exclusion, FilterCriteria, Membership, Population, SegmentType
from mailchimp_pipeline_tests.populations import Row, population_frame, suppressing
from mailchimp_pipeline_tests.source_fake import a_vendor, an_employee

IDS = st.sampled_from(["1", "2", "02", "10", "9", "x"])
EMAILS = st.sampled_from([None, "bad", "a@x.test", "A@x.test ", "b@x.test", "c@x.test"])
VALUES = st.sampled_from([None, "Sales", "sales ", "R&D", "Köln", "KO\u0308LN", "R\u00a0&\u200b D", "\uff32 &  d"])
ENTITY_TYPES = st.sampled_from(["employee", "vendor"])
REASONS = st.sampled_from(["opted_out", "erased"])
EMPLOYEES = st.lists(st.builds(an_employee, id=IDS, email=EMAILS, department=VALUES, location=VALUES), max_size=8)
VENDORS = st.lists(st.builds(a_vendor, id=IDS, email=EMAILS, department=VALUES), max_size=4)
CRITERIA = st.builds(
    FilterCriteria,
    department=st.lists(VALUES.filter(bool), max_size=2),
    location=st.lists(VALUES.filter(bool), max_size=2),
)


@dataclass(frozen=True)
class Case:
    frame: pd.DataFrame
    segment_type: SegmentType
    criteria: FilterCriteria
    entities: list[tuple[str, str, str]]
    addresses: list[tuple[str, str]]
    consented: list[tuple[str, str]] | None

    def membership(self, frame: pd.DataFrame | None = None) -> Membership:
        consented = self.consented
        return Population.prepare(
            self.frame if frame is None else frame,
            suppressing(
                *self.entities,
                addresses=tuple(self.addresses),
                consented=None
                if consented is None
                else pd.DataFrame(consented, columns=["entity_type", "entity_id"], dtype="str"),
            ),
        ).membership(self.segment_type, self.criteria)


CASES = st.builds(
    Case,
    frame=st.builds(population_frame, EMPLOYEES, VENDORS),
    segment_type=st.sampled_from(SegmentType),
    criteria=CRITERIA,
    entities=st.lists(st.tuples(ENTITY_TYPES, IDS, REASONS), max_size=2),
    addresses=st.lists(st.tuples(st.sampled_from(["a@x.test", "c@x.test"]), REASONS), max_size=1),
    consented=st.none() | st.lists(st.tuples(ENTITY_TYPES, IDS)),
)


class Model:
    """The members of the case's segment, decided contact by contact."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.contacts: list[Row] = [
            {str(name): None if pd.isna(value) else value for name, value in contact.items()}
            for contact in case.frame.to_dict("records")
        ]
        self.members: list[Row] = []
        self.seen_entities: set[tuple[str | None, str | None]] = set()
        self.excluded: Counter[str] = Counter()
        for contact in sorted(filter(self.matches, self.contacts), key=rank):
            reason = self.reason(contact) or self.duplicate(contact)
            if reason:
                self.excluded[reason] += 1
            else:
                self.members.append(contact)

    def matches(self, contact: Row) -> bool:
        wanted = {name: [same_form(value) for value in getattr(self.case.criteria, name)] for name in ATTRIBUTES}
        return self.case.segment_type in {"mixed", contact["entity_type"]} and all(
            same_form(contact[name]) in values for name, values in wanted.items() if values
        )

    def reason(self, contact: Row) -> str | None:
        reasons = {contact["address_problem"], *self.said_of(contact)}
        if self.case.consented is not None and entity(contact) not in self.case.consented:
            reasons.add("no_consent")
        first = ["erased", "opted_out", "missing_address", "invalid_address", "no_consent"]
        return next((reason for reason in first if reason in reasons), None)

    def said_of(self, contact: Row) -> set[str]:
        """Return the statements of the contact, and of all contacts with its address."""
        address = contact["subscriber_hash"]
        same_address = [other for other in self.contacts if address and other["subscriber_hash"] == address]
        entities = {entity(contact), *map(entity, same_address)}
        by_entity = {reason for entity_type, id_, reason in self.case.entities if (entity_type, id_) in entities}
        return by_entity | {reason for given, reason in self.case.addresses if subscriber_hash(given) == address}

    def duplicate(self, contact: Row) -> str | None:
        """Return the reason if the contact is the second row of an entity, or the second entity of an address."""
        if entity(contact) in self.seen_entities:
            return "duplicate"
        self.seen_entities.add(entity(contact))
        addresses = {member["subscriber_hash"] for member in self.members}
        return "duplicate" if contact["subscriber_hash"] in addresses else None


def same_form(value: str | None) -> str | None:
    return value and " ".join(unicodedata.normalize("NFKC", value).replace("\u200b", "").lower().split())


def entity(contact: Row) -> tuple[str | None, str | None]:
    return contact["entity_type"], contact["entity_id"]


def rank(contact: Row) -> tuple[object, ...]:
    id_ = str(contact["entity_id"])
    whole = (0, int(id_), "") if id_.isdigit() else (1, 0, id_)
    return contact["entity_type"] == "vendor", whole, [(value is None, value or "") for value in contact.values()]


@given(CASES)
def test_membership_is_what_the_model_says(case: Case) -> None:
    model, found = Model(case), case.membership()
    expected = pd.DataFrame(model.members, columns=list(found.members.columns), dtype=ARROW_STRING)
    pd.testing.assert_frame_equal(found.members, expected)
    assert found.excluded == {Exclusion(reason): count for reason, count in model.excluded.items() if count}


@given(CASES)
def test_every_matching_contact_is_a_member_or_excluded_once(case: Case) -> None:
    found = case.membership()
    assert found.matching == len(found.members) + sum(found.excluded.values())
    assert found.members["subscriber_hash"].is_unique
    assert not found.members.duplicated(["entity_type", "entity_id"]).any()


@given(CASES)
def test_no_suppressed_contact_is_a_member(case: Case) -> None:
    members = case.membership().members
    suppressed = {(entity_type, entity_id) for entity_type, entity_id, _ in case.entities}
    assert not suppressed & set(zip(members["entity_type"], members["entity_id"], strict=True))
    assert not {address for address, _ in case.addresses} & set(members["email"])


@given(CASES, st.randoms())
def test_the_order_of_the_rows_does_not_matter(case: Case, shuffler: random.Random) -> None:
    order = list(range(len(case.frame)))
    shuffler.shuffle(order)
    found, shuffled = case.membership(), case.membership(case.frame.iloc[order])
    pd.testing.assert_frame_equal(found.members, shuffled.members)
    assert (found.matching, found.excluded) == (shuffled.matching, shuffled.excluded)
