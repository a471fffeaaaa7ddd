"""The generated HR and vendor data: reproducible, fictitious, and with the flaws of real data."""

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from mailchimp_pipeline.contacts import EntityType, Source, contacts, read_contacts
from mailchimp_pipeline.local.sample_data import SampleChange, SampleSize, change_sample, write_sample
from mailchimp_pipeline.segments import Exclusion, FilterCriteria, SegmentType
from mailchimp_pipeline.sources import FileSource, Quiet
from mailchimp_pipeline_tests.populations import membership

AT_ONCE = Quiet(seconds=0)
ORGANISATIONS = ("acme", "borealis", "cormorant")


@pytest.fixture
def sample(tmp_path: Path) -> Source:
    write_sample(tmp_path)
    return FileSource(tmp_path, quiet=AT_ONCE)


def everybody(source: Source) -> pd.DataFrame:
    return pd.concat([read_contacts(source, organisation_id, EntityType) for organisation_id in ORGANISATIONS])


def employees(directory: Path) -> pd.DataFrame:
    frame = FileSource(directory, quiet=AT_ONCE).read(EntityType.EMPLOYEE, "acme")
    return contacts(frame, EntityType.EMPLOYEE).set_index("entity_id")


def test_the_sample_is_the_same_each_time(tmp_path: Path) -> None:
    assert write_sample(tmp_path / "one") == write_sample(tmp_path / "two") == SampleSize(employees=2000, vendors=300)
    for name in ("employees.csv", "vendors.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_every_row_is_a_contact_of_one_of_three_organisations(sample: Source) -> None:
    found = everybody(sample)
    assert Counter(found["organisation_id"]) == {"acme": 1380, "borealis": 690, "cormorant": 230}
    assert not found.duplicated(["organisation_id", "entity_type", "entity_id"]).any()


def test_no_address_can_be_anybodys(sample: Source) -> None:
    mailable = everybody(sample).query("address_problem.isna()")
    domains = mailable["email"].str.partition("@")[2]
    assert (domains.str.endswith(".test") | (domains == "example.com")).all()
    assert 3 <= (domains == "example.com").sum() <= 10


def test_the_sample_has_the_flaws_of_real_data(sample: Source) -> None:
    found = everybody(sample)
    problems = Counter(found["address_problem"].dropna())
    assert min(problems["missing_address"], problems["invalid_address"]) >= 15
    assert "terminated" in set(found["employment_status"])
    assert {"O'Brien", "Müller", "Łukasz"} <= {*found["last_name"], *found["first_name"]}


@pytest.mark.parametrize("organisation_id", ORGANISATIONS)
def test_each_organisation_has_members_and_duplicates(sample: Source, organisation_id: str) -> None:
    frame = read_contacts(sample, organisation_id, EntityType)
    found = membership(frame, SegmentType.MIXED, FilterCriteria())
    assert {Exclusion.DUPLICATE, Exclusion.MISSING_ADDRESS, Exclusion.INVALID_ADDRESS} == set(found.excluded)
    assert len(found.members) > 0.9 * found.matching


def test_employees_and_vendors_share_addresses(sample: Source) -> None:
    frame = read_contacts(sample, "acme", EntityType)
    shared = frame.dropna(subset=["subscriber_hash"]).groupby("subscriber_hash")["entity_type"].nunique()
    assert (shared == 2).sum() >= 5


def test_a_day_of_changes_is_what_it_says(tmp_path: Path) -> None:
    write_sample(tmp_path)
    before = employees(tmp_path)
    assert change_sample(tmp_path) == SampleChange(renamed=1, moved=2, left=1, hired=1)
    after = employees(tmp_path)
    kept = after.loc[before.index]
    changed = [(before[name].fillna("") != kept[name].fillna("")).sum() for name in before.columns]
    assert dict(zip(before.columns, changed, strict=True)) == dict.fromkeys(before.columns, 0) | {
        "last_name": 1,
        "department": 2,
        "employment_status": 1,
    }
    assert len(after) == len(before) + 1


def test_the_one_hired_can_be_mailed_and_each_day_brings_other_changes(tmp_path: Path) -> None:
    write_sample(tmp_path)
    size = len(employees(tmp_path))
    change_sample(tmp_path)
    change_sample(tmp_path)
    frame = employees(tmp_path)
    assert frame.index.is_unique
    assert frame.iloc[size:]["address_problem"].isna().all()
    assert frame.iloc[size:]["email"].is_unique
