"""`mailchimp.preferences.pendingErasures` over HTTP and the database."""

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant, parse_time

NONE = {"count": 0, "oldestRequestedAt": None}


@contextmanager
def mailchimp_away(tenant: Tenant) -> Generator[None]:
    tenant.stage.sandbox.start_outage()
    try:
        yield
    finally:
        tenant.stage.sandbox.end_outage()


def erase(tenant: Tenant, *entity_ids: str) -> list[str]:
    """Erase employees, and return the status of each erasure."""
    return [
        tenant.mutate("preferences.gdprDelete", {"entityId": each, "entityType": "employee"}).data["status"]
        for each in entity_ids
    ]


@pytest.fixture
def employer(connected: Tenant) -> Tenant:
    """Return a connected organisation with two employees."""
    connected.add_employees({}, {})
    return connected


def test_an_organisation_without_erasures_has_none_pending(tenant: Tenant) -> None:
    assert tenant.query("preferences.pendingErasures").data == NONE


def test_erasures_that_mailchimp_has_not_confirmed_are_pending_since_the_oldest(employer: Tenant) -> None:
    with mailchimp_away(employer):
        assert erase(employer, "1") == ["pending"]
        first = employer.query("preferences.pendingErasures").data
        assert erase(employer, "2") == ["pending"]
    both = employer.query("preferences.pendingErasures").data
    assert (first["count"], both["count"]) == (1, 2)
    assert parse_time(both["oldestRequestedAt"]) == parse_time(first["oldestRequestedAt"])


def test_a_completed_erasure_is_not_pending(employer: Tenant) -> None:
    with mailchimp_away(employer):
        erase(employer, "1")
    assert erase(employer, "1", "2") == ["completed", "completed"]
    assert employer.query("preferences.pendingErasures").data == NONE


def test_the_erasures_of_another_organisation_do_not_count(employer: Tenant, stage: Stage) -> None:
    with mailchimp_away(employer):
        erase(employer, "1")
    assert a_tenant(stage).query("preferences.pendingErasures").data == NONE
