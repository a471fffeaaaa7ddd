"""`segments.filterValues`: the values that the source has for the filters."""

from mailchimp_pipeline.segments.segment import MOST_VALUES
from mailchimp_pipeline_tests.api.procedures.stage import Tenant, a_tenant


def test_each_value_is_listed_once_in_its_first_spelling(connected: Tenant) -> None:
    connected.add_employees(
        {"department": "Sales"}, {"department": "sales "}, {"department": "Art"}, {"department": ""}
    )
    assert connected.query("segments.filterValues").data["department"] == ["Art", "Sales"]


def test_of_many_values_the_first_are_listed(connected: Tenant) -> None:
    connected.add_employees(*({"location": f"Town {number:03}"} for number in range(MOST_VALUES + 20)))
    listed = connected.query("segments.filterValues").data["location"]
    assert (len(listed), listed[0]) == (MOST_VALUES, "Town 000")


def test_the_values_of_another_organisation_are_not_listed(connected: Tenant) -> None:
    connected.add_employees({"department": "Sales"})
    assert a_tenant(connected.stage, connected=True).query("segments.filterValues").data["department"] == []
