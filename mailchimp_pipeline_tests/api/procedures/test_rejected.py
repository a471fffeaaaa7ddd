"""Rejected contacts: `counts` of a segment, `segments.rejected` and `segments.retryRejected`."""

from typing import Any

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Tenant

FAKE = "fake@example.com"


def sync(tenant: Tenant, segment_id: str) -> dict[str, Any]:
    """Sync the segment as a run does, and return it."""
    tenant.sync(segment_id)
    segment: dict[str, Any] = tenant.query("segments.get", {"id": segment_id}).data
    return segment


@pytest.fixture
def employer(connected: Tenant) -> Tenant:
    """Return an organisation with five employees, one of which Mailchimp rejects."""
    connected.add_employees({}, {}, {}, {}, {"email": FAKE})
    return connected


def test_a_segment_has_no_counts_before_its_first_sync(employer: Tenant) -> None:
    assert employer.create().data["counts"] is None


def test_the_counts_say_how_many_of_the_wanted_members_arrived(employer: Tenant) -> None:
    synced = sync(employer, employer.create().data["id"])
    assert (synced["status"], synced["memberCount"]) == ("synced", 5)
    assert synced["counts"] == {
        "wanted": 5,
        "inAudience": 4,
        "awaitingConfirmation": 0,
        "rejected": {"looks_fake": 1},
        "withheld": {},
    }


def test_a_segment_of_which_too_many_are_rejected_is_in_error_and_says_so(employer: Tenant) -> None:
    employer.add_employees({"id": "6", "email": "also@example.com"})
    synced = sync(employer, employer.create().data["id"])
    assert (synced["status"], synced["counts"]["rejected"]) == ("error", {"looks_fake": 2})
    assert "rejected 2 of the 6 contacts" in synced["lastError"]


def test_a_rejected_contact_is_listed_with_the_reason_and_what_to_do(employer: Tenant) -> None:
    segment_id = employer.create().data["id"]
    sync(employer, segment_id)
    answer = employer.query("segments.rejected", {"id": segment_id})
    (listed,) = answer.data["items"]
    assert list(listed) == [
        "entityId",
        "entityType",
        "reason",
        "text",
        "attempts",
        "rejectedAt",
        "nextAttemptAt",
        "isFinal",
    ]
    assert (listed["entityType"], listed["entityId"], listed["reason"]) == ("employee", "5", "looks_fake")
    assert (listed["attempts"], listed["nextAttemptAt"], listed["isFinal"]) == (1, None, True)
    assert "Correct it in the source" in listed["text"]
    assert FAKE not in answer.body.decode()


def test_pages_of_rejected_contacts_follow_each_other(employer: Tenant) -> None:
    employer.add_employees(*({"id": str(number), "email": f"fake{number}@example.com"} for number in range(6, 8)))
    segment_id = employer.create().data["id"]
    sync(employer, segment_id)
    first = employer.query("segments.rejected", {"id": segment_id, "limit": 2}).data
    second = employer.query("segments.rejected", {"id": segment_id, "limit": 2, "cursor": first["nextCursor"]}).data
    assert {one["entityId"] for one in first["items"] + second["items"]} == {"5", "6", "7"}
    assert (len(second["items"]), second["nextCursor"]) == (1, None)


def test_a_rejected_contact_is_sent_again_on_request(employer: Tenant) -> None:
    segment_id, sandbox = employer.create().data["id"], employer.stage.sandbox
    sync(employer, segment_id)
    synced = sync(employer, segment_id)
    assert (sandbox.times_sent(employer.list_id, FAKE), synced["counts"]["rejected"]) == (1, {"looks_fake": 1})
    assert employer.mutate("segments.retryRejected", {"id": segment_id}).data == synced
    sandbox.configure(fake_domains=[])
    try:
        synced = sync(employer, segment_id)
    finally:
        sandbox.configure(fake_domains=["example.com"])
    assert (synced["counts"]["inAudience"], synced["counts"]["rejected"]) == (5, {})
    assert employer.query("segments.rejected", {"id": segment_id}).data["items"] == []


def test_asking_for_another_attempt_is_in_the_audit_log(employer: Tenant) -> None:
    segment_id = employer.create().data["id"]
    sync(employer, segment_id)
    employer.mutate("segments.retryRejected", {"id": segment_id})
    newest = employer.query("audit.list").data["items"][0]
    assert (newest["action"], newest["actor"], newest["details"]) == (
        "segment.rejected_retried",
        "alice",
        {"contacts": 1},
    )
