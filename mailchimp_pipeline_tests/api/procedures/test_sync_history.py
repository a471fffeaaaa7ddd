"""`segments.history`: the past syncs of a segment."""

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Tenant, a_tenant
from mailchimp_pipeline_tests.api.procedures.test_rejected import sync


@pytest.fixture
def employer(connected: Tenant) -> Tenant:
    """Return an organisation with five employees, one of which has no address."""
    connected.add_employees({}, {}, {}, {}, {"email": ""})
    return connected


def test_a_segment_has_no_history_before_its_first_sync(employer: Tenant) -> None:
    segment_id = employer.create().data["id"]
    assert employer.query("segments.history", {"id": segment_id}).data == {"items": [], "nextCursor": None}


def test_each_sync_is_listed_with_its_counts_the_latest_first(employer: Tenant) -> None:
    segment_id = employer.create().data["id"]
    sync(employer, segment_id)
    employer.add_employees({"id": "6", "email": "six@people.test"})
    sync(employer, segment_id)
    latest, first = employer.query("segments.history", {"id": segment_id}).data["items"]
    assert [(each["counts"]["new"], each["counts"]["inAudience"]) for each in (first, latest)] == [(4, 4), (1, 5)]
    assert first["counts"]["excluded"] == {"missing_address": 1}
    assert (first["error"], first["stoppedBy"]) == (None, None)
    assert first["startedAt"] < first["endedAt"] < latest["endedAt"]
    assert (first["trigger"], first["runId"][:4]) == ("dagster", "run-")
    assert first["seconds"] > 0


def test_a_failed_sync_says_why_and_which_rule_stopped_it(employer: Tenant) -> None:
    segment_id = employer.create().data["id"]
    sync(employer, segment_id)
    employer.mutate("segments.update", {"id": segment_id, "filterCriteria": {"department": ["Nowhere"]}})
    failed = sync(employer, segment_id)
    latest = employer.query("segments.history", {"id": segment_id}).data["items"][0]
    assert (latest["error"], latest["stoppedBy"], latest["counts"]) == (failed["lastError"], "departures", None)


def test_the_history_is_paged(employer: Tenant) -> None:
    segment_id = employer.create().data["id"]
    for _ in range(3):
        sync(employer, segment_id)
    page = employer.query("segments.history", {"id": segment_id, "limit": 2}).data
    rest = employer.query("segments.history", {"id": segment_id, "limit": 2, "cursor": page["nextCursor"]}).data
    times = [each["endedAt"] for each in (*page["items"], *rest["items"])]
    assert len(times) == 3
    assert times == sorted(times, reverse=True)
    assert rest["nextCursor"] is None


def test_the_segment_of_another_organisation_has_no_history(employer: Tenant) -> None:
    segment_id = employer.create().data["id"]
    assert a_tenant(employer.stage).query("segments.history", {"id": segment_id}).status == 404
