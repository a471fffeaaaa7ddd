"""The contract of every source, including the fake."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import sqlalchemy as sa

from mailchimp_pipeline.contacts import (
    ARROW_STRING,
    EntityType,
    MissingColumnError,
    Source,
    find_contacts,
    present_addresses,
    read_contacts,
    subscriber_hash,
)
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.sources import open_source
from mailchimp_pipeline_tests.source_fake import FakeSource, Row, a_vendor, an_employee, backdate, rows

if TYPE_CHECKING:
    from pathlib import Path

EMPLOYEE, VENDOR = EntityType.EMPLOYEE, EntityType.VENDOR

Made = Callable[[Mapping[EntityType, pd.DataFrame]], Source]


def in_memory(_: pytest.FixtureRequest) -> Made:
    return FakeSource


def as_csv(request: pytest.FixtureRequest) -> Made:
    def make(relations: Mapping[EntityType, pd.DataFrame]) -> Source:
        directory: Path = request.getfixturevalue("tmp_path")
        for relation, frame in relations.items():
            frame.to_csv(directory / f"{relation.relation}.csv", index=False)
            backdate(directory / f"{relation.relation}.csv")
        return open_source(str(directory))

    return make


def as_parquet(request: pytest.FixtureRequest) -> Made:
    def make(relations: Mapping[EntityType, pd.DataFrame]) -> Source:
        directory: Path = request.getfixturevalue("tmp_path")
        for relation, frame in relations.items():
            frame.to_parquet(directory / f"{relation.relation}.parquet", index=False)
            backdate(directory / f"{relation.relation}.parquet")
        return open_source(str(directory))

    return make


def in_database(engine: sa.Engine) -> Made:
    def make(relations: Mapping[EntityType, pd.DataFrame]) -> Source:
        for relation, frame in relations.items():
            frame.astype("str").to_sql(relation.relation, engine, index=False, if_exists="replace")
        return open_source(engine.url.render_as_string(hide_password=False))

    return make


def in_postgres(request: pytest.FixtureRequest) -> Made:
    return in_database(request.getfixturevalue("postgres"))


def in_sqlite(request: pytest.FixtureRequest) -> Made:
    return in_database(request.getfixturevalue("sqlite"))


@pytest.fixture(params=[in_memory, as_csv, as_parquet, in_sqlite, in_postgres])
def make(request: pytest.FixtureRequest) -> Made:
    return request.param(request)


def employees(*given: Row) -> dict[EntityType, pd.DataFrame]:
    return {EMPLOYEE: rows(*given)}


def test_only_the_organisations_rows_are_read(make: Made) -> None:
    source = make(employees(an_employee(id="1"), an_employee(id="2", organisation_id="globe"), an_employee(id="3")))
    assert sorted(source.read(EMPLOYEE, "acme")["id"]) == ["1", "3"]
    assert source.read(EMPLOYEE, "globe")["id"].tolist() == ["2"]


@pytest.mark.parametrize("organisation_id", ["nobody", "Acme", "acme' or '1'='1", "%", "acme\\", ":a {b} %s"])
def test_an_organisation_that_is_not_there_has_no_rows_but_the_columns(make: Made, organisation_id: str) -> None:
    frame = make(employees(an_employee())).read(EMPLOYEE, organisation_id)
    assert frame.empty
    assert set(frame.columns) == set(an_employee())
    assert set(frame.dtypes) == {ARROW_STRING}


def test_an_organisations_name_is_compared_whole(make: Made) -> None:
    odd = "o'neill \\ 100% {x} :y"
    source = make(employees(an_employee(organisation_id=odd), an_employee()))
    assert source.read(EMPLOYEE, odd)["organisation_id"].tolist() == [odd]


def test_text_comes_as_it_is_written(make: Made) -> None:
    name = 'D\'Arcy "Zoë",\n\\N; Łukasz\t%s'
    frame = make(employees(an_employee(id="007", last_name=name, location=" Berlin "))).read(EMPLOYEE, "acme")
    assert frame[["id", "last_name", "location"]].to_numpy().tolist() == [["007", name, " Berlin "]]
    assert set(frame.dtypes) == {ARROW_STRING}


def test_what_is_missing_or_blank_is_missing_in_the_contact(make: Made) -> None:
    source = make(employees(an_employee(id="1", location=None, department=""), an_employee(id="2", email=None)))
    contacts = read_contacts(source, "acme", [EMPLOYEE]).sort_values("entity_id")
    assert contacts["location"].isna().tolist() == [True, False]
    assert contacts["department"].isna().tolist() == [True, False]
    assert contacts["address_problem"].isna().tolist() == [True, False]


def test_one_contact_is_found_with_every_row_it_has(make: Made) -> None:
    twice = (an_employee(id="2", department="Sales"), an_employee(id="2", location=None))
    source = make(employees(an_employee(id="1"), *twice, an_employee(id="2", organisation_id="globe")))
    found = source.find(EMPLOYEE, "acme", "2").sort_values("department", ignore_index=True)
    read = source.read(EMPLOYEE, "acme")
    pd.testing.assert_frame_equal(
        found, read[read["id"] == "2"].sort_values("department", ignore_index=True), check_like=True
    )


@pytest.mark.parametrize(
    "entity_id", ["12", "0123", "abc", "A", "1' or '1'='1", "%", "\\", ":a {b} %s", " ", "a@x.test"]
)
def test_a_contact_that_is_not_there_has_no_rows_but_the_columns(make: Made, entity_id: str) -> None:
    frame = make(employees(an_employee(id="123"), an_employee(id="a"))).find(EMPLOYEE, "acme", entity_id)
    assert frame.empty
    assert set(frame.columns) == set(an_employee())
    assert set(frame.dtypes) == {ARROW_STRING}


def test_a_contact_is_found_whatever_blanks_are_around_its_id(make: Made) -> None:
    source = make(employees(an_employee(id=" 7 "), an_employee(id="8")))
    assert source.find(EMPLOYEE, "acme", "7")["id"].tolist() == [" 7 "]
    assert source.find(EMPLOYEE, "acme", "\u20038\u200b")["id"].tolist() == ["8"]


def test_the_contacts_of_one_entity_are_those_of_all_that_have_its_id(make: Made) -> None:
    source = make(employees(an_employee(id="1"), an_employee(id="7"), an_employee(id="7", email="b@acme.test")))
    found, everybody = find_contacts(source, "acme", EMPLOYEE, "7"), read_contacts(source, "acme", [EMPLOYEE])
    theirs = everybody[everybody["entity_id"] == "7"]
    assert found.sort_values("email").to_numpy().tolist() == theirs.sort_values("email").to_numpy().tolist()
    hashes = {subscriber_hash("ada@acme.test"), subscriber_hash("b@acme.test")}
    assert present_addresses(source, "acme", EMPLOYEE, "7") == tuple(sorted(hashes))
    assert present_addresses(source, "acme", EMPLOYEE, "007") is None


def test_columns_that_are_not_ours_are_not_read(make: Made) -> None:
    source = make({VENDOR: rows({**a_vendor(), "salary": "1", "iban": "DE00"})})
    assert set(source.read(VENDOR, "acme").columns) == set(a_vendor())


def test_a_relation_without_rows_is_valid(make: Made) -> None:
    source = make({EMPLOYEE: rows(an_employee()).iloc[:0]})
    assert source.read(EMPLOYEE, "acme").empty
    assert source.find(EMPLOYEE, "acme", "1").empty
    assert source.describe(EMPLOYEE).rows == 0
    assert read_contacts(source, "acme", [EMPLOYEE]).empty


def test_a_relation_that_is_not_there_is_an_error_that_names_it(make: Made) -> None:
    source = make(employees(an_employee()))
    with pytest.raises(PermanentError, match="vendors"):
        source.read(VENDOR, "acme")
    with pytest.raises(PermanentError, match="vendors"):
        source.find(VENDOR, "acme", "1")
    with pytest.raises(PermanentError, match="vendors"):
        source.describe(VENDOR)


def test_a_relation_without_organisations_is_an_error_that_names_the_column(make: Made) -> None:
    source = make({EMPLOYEE: rows(an_employee()).drop(columns="organisation_id")})
    with pytest.raises(MissingColumnError, match="employees have no column 'organisation_id'"):
        source.read(EMPLOYEE, "acme")


@pytest.mark.parametrize("column", ["organisation_id", "id"])
@pytest.mark.parametrize("count", [0, 1])
def test_nobody_can_be_found_in_a_relation_without_ids(make: Made, column: str, count: int) -> None:
    source = make({EMPLOYEE: rows(an_employee()).drop(columns=column).iloc[:count]})
    with pytest.raises(MissingColumnError, match=f"employees have no column '{column}'"):
        source.find(EMPLOYEE, "acme", "1")


def test_the_description_counts_the_rows_of_all_organisations(make: Made) -> None:
    source = make({EMPLOYEE: rows(an_employee(), an_employee(organisation_id="globe")), VENDOR: rows(a_vendor())})
    assert source.describe(EMPLOYEE).rows == 2
    assert source.describe(VENDOR).rows == 1


def test_the_version_differs_exactly_when_the_content_does(make: Made) -> None:
    before = make(employees(an_employee(id="1"), an_employee(id="2"))).describe(EMPLOYEE)
    again = make(employees(an_employee(id="1"), an_employee(id="2"))).describe(EMPLOYEE)
    after = make(employees(an_employee(id="1"), an_employee(id="2", last_name="Lovelace"))).describe(EMPLOYEE)
    assert before == again
    assert before.version != after.version
