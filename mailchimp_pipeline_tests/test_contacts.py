"""Rows become contacts: text, names, addresses, digests, and optional columns."""

import hashlib
from typing import Literal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import (
    ARROW_STRING,
    CONTACT_COLUMNS,
    AddressProblem,
    EntityType,
    MissingColumnError,
    MissingIdError,
    contacts,
    content_digest,
    read_contacts,
)
from mailchimp_pipeline_tests.source_fake import FakeSource, a_vendor, an_employee, rows


def employee(**changes: str | None) -> "pd.Series[str]":
    return contacts(rows(an_employee(**changes)), EntityType.EMPLOYEE).iloc[0]


def vendor(**changes: str | None) -> "pd.Series[str]":
    return contacts(rows(a_vendor(**changes)), EntityType.VENDOR).iloc[0]


def test_a_contact_has_every_column_as_arrow_text() -> None:
    frame = contacts(rows(an_employee()), EntityType.EMPLOYEE)
    assert tuple(frame.columns) == CONTACT_COLUMNS
    assert set(frame.dtypes) == {ARROW_STRING}
    assert frame.iloc[0]["entity_type"] == "employee"


def test_text_is_trimmed_and_blank_text_is_missing() -> None:
    contact = employee(id=" 007 ", department="\u00a0Engineering\t", location="  ", first_name="", last_name=None)
    assert contact["entity_id"] == "007"
    assert contact["department"] == "Engineering"
    assert contact[["location", "first_name", "last_name"]].isna().all()


def test_a_nul_that_postgresql_cannot_hold_is_dropped() -> None:
    assert employee(last_name="By\0ron")["last_name"] == "Byron"


def test_an_address_is_sent_in_lower_case_and_hashed_as_mailchimp_does() -> None:
    contact = employee(email=" Urist.McVankab@FreddiesJokes.com ")
    assert contact["email"] == "urist.mcvankab@freddiesjokes.com"
    assert contact["subscriber_hash"] == "62eeb292278cc15f5817cb78f7790b08"
    assert pd.isna(contact["address_problem"])


@pytest.mark.parametrize("address", [None, "", "   "])
def test_a_missing_address_is_marked(address: str | None) -> None:
    contact = employee(email=address)
    assert contact["address_problem"] == AddressProblem.MISSING
    assert pd.isna(contact["email"])
    assert pd.isna(contact["subscriber_hash"])


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "ada@acme",
        "ada@@acme.test",
        "ada@acme..test",
        "ada lovelace@acme.test",
        "Ada <ada@acme.test>",
        '"ada l"@acme.test',
        "ada@[127.0.0.1]",
        "adá@acme.test",
        "a@acme.test; b@acme.test",
        "a" * 250 + "@acme.test",
    ],
)
def test_an_address_that_mailchimp_does_not_take_is_marked_and_kept_as_it_is(address: str) -> None:
    contact = employee(email=address)
    assert contact["address_problem"] == AddressProblem.INVALID
    assert contact["email"] == address
    assert pd.isna(contact["subscriber_hash"])


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("Ludwig van Beethoven", "Ludwig", "van Beethoven"),
        ("Ada  Byron", "Ada", "Byron"),
        ("Ada\u00a0Byron", "Ada", "Byron"),
        ("Plato", "Plato", None),
        ("Beethoven, Ludwig van", "Beethoven, Ludwig van", None),
        ("Bolts & Sons, Ltd.", "Bolts & Sons, Ltd.", None),
    ],
)
def test_a_vendors_name_is_split_at_its_first_blank_unless_it_has_a_comma(
    name: str, first: str, last: str | None
) -> None:
    row = {"organisation_id": "acme", "id": "1", "email": "a@b.test", "name": name}
    contact = contacts(rows(row), EntityType.VENDOR).iloc[0]
    assert contact["first_name"] == first
    assert (None if pd.isna(contact["last_name"]) else contact["last_name"]) == last


def test_a_company_name_goes_whole_into_the_first_name() -> None:
    contact = vendor(company_name="Globe Trotters Inc")
    assert contact["first_name"] == "Globe Trotters Inc"
    assert pd.isna(contact["last_name"])
    assert contact[["department", "location", "employment_type", "employment_status"]].isna().all()


def test_a_vendor_with_names_of_their_own_keeps_them() -> None:
    contact = vendor(first_name=" Grace", last_name="Hopper", name="Somebody Else")
    assert (contact["first_name"], contact["last_name"]) == ("Grace", "Hopper")
    nameless = vendor(first_name=" ", last_name=None, name=" ")
    assert nameless["first_name"] == "Bolts & Sons, Ltd."


@pytest.mark.parametrize("column", [name for name in an_employee() if name != "organisation_id"])
def test_a_missing_column_of_employees_is_named(column: str) -> None:
    with pytest.raises(MissingColumnError, match=f"employees have no column '{column}'"):
        contacts(rows(an_employee()).drop(columns=column), EntityType.EMPLOYEE)


def test_vendors_need_names_in_some_form() -> None:
    nameless = rows(a_vendor()).drop(columns="company_name")
    with pytest.raises(MissingColumnError, match="vendors have no column 'first_name'"):
        contacts(nameless, EntityType.VENDOR)
    with pytest.raises(MissingColumnError, match="vendors have no column 'last_name'"):
        contacts(nameless.assign(first_name="Grace"), EntityType.VENDOR)


def test_rows_without_an_id_are_refused_and_counted() -> None:
    with pytest.raises(MissingIdError, match="employees have 2 rows with nothing in 'id'") as refusal:
        contacts(rows(an_employee(id=" "), an_employee(id=None), an_employee()), EntityType.EMPLOYEE)
    assert refusal.value.rows == 2


def test_two_rows_of_one_entity_stay_two_contacts() -> None:
    frame = contacts(rows(an_employee(), an_employee(department="Sales")), EntityType.EMPLOYEE)
    assert frame["entity_id"].tolist() == ["1", "1"]
    assert frame["department"].tolist() == ["Engineering", "Sales"]


def test_no_rows_become_no_contacts() -> None:
    frame = contacts(rows(an_employee()).iloc[:0], EntityType.EMPLOYEE)
    assert frame.empty
    assert tuple(frame.columns) == CONTACT_COLUMNS
    assert set(frame.dtypes) == {ARROW_STRING}


@pytest.mark.parametrize("dtype", ["str", "object", "string[pyarrow]"])
def test_rows_of_any_kind_of_text_are_taken(dtype: Literal["str", "object", "string[pyarrow]"]) -> None:
    frame = rows(an_employee(location=None)).astype(dtype)
    contact = contacts(frame, EntityType.EMPLOYEE).iloc[0]
    assert contact["email"] == "ada@acme.test"
    assert pd.isna(contact["location"])


def test_all_contacts_of_an_organisation_come_through_the_source() -> None:
    source = FakeSource(
        {
            EntityType.EMPLOYEE: rows(an_employee(), an_employee(organisation_id="globe")),
            EntityType.VENDOR: rows(a_vendor()),
        }
    )
    frame = read_contacts(source, "acme", EntityType)
    assert frame["entity_type"].tolist() == ["employee", "vendor"]
    assert set(frame["organisation_id"]) == {"acme"}
    assert set(frame.dtypes) == {ARROW_STRING}


Content = tuple[str | None, str | None, str | None]
NAMES = {"FNAME": "first_name", "LNAME": "last_name"}


def digests(*contents: Content) -> list[str]:
    frame = pd.DataFrame(list(contents), columns=["email", "first_name", "last_name"], dtype=ARROW_STRING)
    return content_digest(frame, NAMES).tolist()


def test_a_digest_is_stable_over_releases() -> None:
    expected = hashlib.blake2b(b"EMAIL:13:ada@acme.testFNAME:3:Ada", digest_size=16).hexdigest()
    frame = contacts(rows(an_employee(last_name=None)), EntityType.EMPLOYEE)
    assert content_digest(frame, NAMES).tolist() == [expected]


def test_a_digest_tells_a_field_that_the_audience_has_from_one_that_it_has_not() -> None:
    frame = pd.DataFrame(
        {"email": ["ada@acme.test"] * 2, "first_name": ["Ada"] * 2, "last_name": ["Byron", None]}, dtype=ARROW_STRING
    )
    with_both, first_name_only = content_digest(frame, NAMES), content_digest(frame, {"FNAME": "first_name"})
    assert (with_both == first_name_only).tolist() == [False, True]


TEXTS = st.none() | st.text(alphabet="a1:-\x1f\u00e9", max_size=4)
CONTENTS = st.tuples(TEXTS, TEXTS, TEXTS)


@given(CONTENTS, CONTENTS)
def test_digests_are_equal_only_for_equal_contents(one: Content, other: Content) -> None:
    first, second = digests(one, other)
    assert (first == second) == (one == other)
    assert len(first) == 32


def test_a_digest_keeps_the_index_of_its_row() -> None:
    frame = contacts(rows(an_employee(), an_employee(id="2")), EntityType.EMPLOYEE).iloc[[1]]
    assert content_digest(frame, NAMES).index.tolist() == [1]
