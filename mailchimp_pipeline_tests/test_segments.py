"""Filter criteria, members and exclusions of a segment. `test_segments_by_model` tests random cases."""

from datetime import UTC, datetime

import pandas as pd
import pytest
from pydantic import ValidationError

from mailchimp_pipeline.contacts import ARROW_STRING, EntityType
from mailchimp_pipeline.segments import (
    Exclusion,
    FilterCriteria,
    Membership,
    Population,
    Segment,
    SegmentType,
    Suppressions,
)
from mailchimp_pipeline_tests.populations import membership, population_frame, suppressing
from mailchimp_pipeline_tests.source_fake import a_vendor, an_employee


def everybody(frame: pd.DataFrame, suppressions: Suppressions | None = None) -> Membership:
    return membership(frame, SegmentType.MIXED, FilterCriteria(), suppressions)


def of_department(frame: pd.DataFrame, department: str) -> Membership:
    return membership(frame, SegmentType.EMPLOYEE, FilterCriteria(department=(department,)))


def ids(of: Membership) -> list[str]:
    return of.members["entity_id"].tolist()


# Criteria


def test_a_single_string_is_a_list_of_one_trimmed() -> None:
    assert FilterCriteria.model_validate({"department": " Sales "}).department == ("Sales",)


def test_criteria_go_by_their_names_on_the_wire_and_by_ours() -> None:
    wire = FilterCriteria.model_validate({"employmentType": ["full_time"]})
    assert wire == FilterCriteria(employment_type=("full_time",))
    assert wire.model_dump(by_alias=True)["employmentType"] == ("full_time",)


def test_a_value_in_two_spellings_is_kept_once() -> None:
    assert FilterCriteria.model_validate({"location": ["Köln", "KÖLN", "Ko\u0308ln ", "Bonn"]}).location == (
        "Köln",
        "Bonn",
    )


@pytest.mark.parametrize(
    "criteria",
    [
        {"department": ""},
        {"department": ["Sales", "  "]},
        {"department": [str(value) for value in range(101)]},
        {"department": "x" * 201},
        {"department": [7]},
        {"department": None},
        {"salary": ["1"]},
    ],
)
def test_criteria_out_of_bounds_are_refused_without_repeating_them(criteria: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refusal:
        FilterCriteria.model_validate(criteria)
    assert "input_value" not in str(refusal.value)


def test_criteria_that_are_stored_come_back_the_same() -> None:
    criteria = FilterCriteria(department=("Sales", "R&D"), employment_status=("active",))
    assert FilterCriteria.model_validate_json(criteria.model_dump_json(by_alias=True)) == criteria


# Membership


def test_any_value_of_a_criterion_matches_and_every_criterion_must() -> None:
    frame = population_frame(
        [
            an_employee(id="1", email="a@x.test", department="sales ", location="BERLIN"),
            an_employee(id="2", email="b@x.test", department="Support", location="Berlin"),
            an_employee(id="3", email="c@x.test", department="Sales", location="Paris"),
            an_employee(id="4", email="d@x.test", department="Finance", location="Berlin"),
        ]
    )
    criteria = FilterCriteria(department=("Sales", "SUPPORT"), location=("berlin",))
    assert ids(membership(frame, SegmentType.EMPLOYEE, criteria)) == ["1", "2"]


def test_a_contact_without_the_attribute_never_matches() -> None:
    frame = population_frame([an_employee(location=None)], [a_vendor()])
    found = membership(frame, SegmentType.MIXED, FilterCriteria(location=("Berlin", "None", "nan")))
    assert found.matching == 0
    assert found.excluded == {}


@pytest.mark.parametrize(
    ("segment_type", "expected"),
    [
        (SegmentType.EMPLOYEE, ["employee"]),
        (SegmentType.VENDOR, ["vendor"]),
        (SegmentType.MIXED, ["employee", "vendor"]),
    ],
)
def test_the_segments_type_chooses_the_relations(segment_type: SegmentType, expected: list[str]) -> None:
    frame = population_frame([an_employee()], [a_vendor()])
    found = membership(frame, segment_type, FilterCriteria())
    assert found.members["entity_type"].tolist() == expected


def test_members_have_the_columns_that_are_stored_and_no_other() -> None:
    members = everybody(population_frame([an_employee()])).members
    assert set(members.columns) == {"entity_type", "entity_id", "subscriber_hash", "email", "first_name", "last_name"}
    assert set(members.dtypes) == {ARROW_STRING}


def test_of_one_address_the_employee_is_pushed_and_then_the_lowest_number() -> None:
    same = "Shared@x.test"
    frame = population_frame(
        [an_employee(id="10", email=same), an_employee(id="9", email=same.upper()), an_employee(id="B7", email=same)],
        [a_vendor(id="1", email=same)],
    )
    found = everybody(frame)
    assert ids(found) == ["9"]
    assert found.excluded == {Exclusion.DUPLICATE: 3}


def test_numbers_come_by_value_however_long_and_before_other_ids() -> None:
    given = ["1" + "0" * 30, "2", "0010", "9", "a1", "1b"]
    frame = population_frame([an_employee(id=id_, email=f"e{at}@x.test") for at, id_ in enumerate(given)])
    assert ids(everybody(frame)) == ["2", "9", "0010", "1" + "0" * 30, "1b", "a1"]


def test_the_pushed_duplicate_is_a_mailable_matching_contact() -> None:
    frame = population_frame(
        [
            an_employee(id="1", email="shared@x.test", department="Finance"),
            an_employee(id="2", email="shared@x.test", department="Sales"),
        ]
    )
    found = of_department(frame, "Sales")
    assert ids(found) == ["2"]
    assert (found.matching, found.excluded) == (1, {})


def test_a_contact_with_two_rows_is_pushed_once() -> None:
    frame = population_frame(
        [
            an_employee(id="1", email="b@x.test", department="Sales"),
            an_employee(id="1", email="a@x.test", department="Finance"),
        ]
    )
    found = everybody(frame)
    assert found.members["email"].tolist() == ["a@x.test"]
    assert found.excluded == {Exclusion.DUPLICATE: 1}
    assert membership(frame, SegmentType.EMPLOYEE, FilterCriteria(department=("Sales",))).matching == 1


def test_an_opt_out_suppresses_every_contact_with_its_address() -> None:
    frame = population_frame([an_employee(id="1", email="shared@x.test")], [a_vendor(id="5", email="SHARED@x.test")])
    found = membership(frame, SegmentType.EMPLOYEE, FilterCriteria(), suppressing(("vendor", "5", "opted_out")))
    assert ids(found) == []
    assert found.excluded == {Exclusion.OPTED_OUT: 1}


def test_an_opt_out_by_address_suppresses_an_unknown_entity() -> None:
    frame = population_frame([an_employee(email="New@x.test")])
    found = everybody(frame, suppressing(addresses=(("new@x.test", "erased"),)))
    assert found.excluded == {Exclusion.ERASED: 1}


def test_an_opt_out_without_an_address_suppresses_no_other_contact_without_one() -> None:
    frame = population_frame([an_employee(id="1", email=None), an_employee(id="2", email=None)])
    found = everybody(frame, suppressing(("employee", "1", "opted_out")))
    assert found.excluded == {Exclusion.OPTED_OUT: 1, Exclusion.MISSING_ADDRESS: 1}


def test_a_vendors_opt_out_is_not_that_of_the_employee_with_the_same_id() -> None:
    frame = population_frame([an_employee(id="1")], [a_vendor(id="1")])
    found = everybody(frame, suppressing(("vendor", "1", "opted_out")))
    assert found.members["entity_type"].tolist() == ["employee"]


def test_each_contact_counts_under_the_first_reason_that_applies() -> None:
    frame = population_frame(
        [
            an_employee(id="1", email=None),
            an_employee(id="2", email="bad"),
            an_employee(id="3", email=None),
            an_employee(id="4", email="d@x.test"),
        ]
    )
    suppressions = suppressing(
        ("employee", "1", "opted_out"),
        ("employee", "1", "erased"),
        ("employee", "2", "opted_out"),
        consented=pd.DataFrame({"entity_type": [], "entity_id": []}, dtype="str"),
    )
    assert everybody(frame, suppressions).excluded == {
        Exclusion.ERASED: 1,
        Exclusion.OPTED_OUT: 1,
        Exclusion.MISSING_ADDRESS: 1,
        Exclusion.NO_CONSENT: 1,
    }


def test_where_opt_in_is_asked_for_only_those_who_gave_it_are_pushed() -> None:
    frame = population_frame([an_employee(id="1"), an_employee(id="2")], [a_vendor(id="1")])
    consented = pd.DataFrame({"entity_type": ["employee"], "entity_id": ["2"]})
    found = everybody(frame, suppressing(consented=consented))
    assert ids(found) == ["2"]
    assert found.excluded == {Exclusion.NO_CONSENT: 2}


def test_an_organisation_without_contacts_has_no_members() -> None:
    found = everybody(population_frame([]))
    assert (found.matching, found.excluded, len(found.members)) == (0, {}, 0)
    assert set(found.members.dtypes) == {ARROW_STRING}


@pytest.mark.parametrize("entity", [("employees", "1", "opted_out"), ("employee", "1", "duplicate")])
def test_suppressions_that_would_be_overlooked_are_refused(entity: tuple[str, str, str]) -> None:
    with pytest.raises(ValueError, match="suppressions with a reason or an entity type they cannot have"):
        everybody(population_frame([an_employee()]), suppressing(entity))


def test_contacts_of_two_organisations_do_not_mix() -> None:
    frame = population_frame([an_employee(), an_employee(organisation_id="globe")])
    with pytest.raises(ValueError, match="one organisation"):
        everybody(frame)


def test_a_population_knows_which_relations_it_has_contacts_of() -> None:
    population = Population.prepare(population_frame([an_employee()]), suppressing())
    assert population.holds([EntityType.VENDOR, EntityType.EMPLOYEE])
    assert not population.holds([EntityType.VENDOR])


def test_a_segments_partition_names_its_organisation_first() -> None:
    now = datetime(2025, 1, 1, tzinfo=UTC)
    segment = Segment("7", "acme", "Everybody", SegmentType.MIXED, "a1b2", created_at=now, updated_at=now)
    assert segment.partition_key == "acme/7"
