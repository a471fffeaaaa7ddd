"""`mailchimp.contacts.segments` over HTTP, the database and real syncs."""

from typing import Any

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant


def explained(tenant: Tenant, entity_id: str, entity_type: str = "employee") -> dict[str, Any]:
    answer = tenant.query("contacts.segments", {"entityType": entity_type, "entityId": entity_id})
    assert answer.status == 200
    found: dict[str, Any] = answer.data
    return found


def only(tenant: Tenant, entity_id: str) -> dict[str, Any]:
    (item,) = explained(tenant, entity_id)["items"]
    found: dict[str, Any] = item
    return found


def opt(tenant: Tenant, entity_id: str, *, opted_in: bool) -> None:
    statement = {"entityType": "employee", "entityId": entity_id, "optedIn": opted_in, "consentSource": "form"}
    assert tenant.mutate("preferences.updateOptStatus", statement).status == 200


def test_a_member_is_subscribed(connected: Tenant) -> None:
    connected.add_employees({"id": "1", "email": "ann@acme.test"})
    connected.create()
    item = only(connected, "1")
    assert (item["isMember"], item["mismatches"], item["exclusion"], item["status"]) == (False, [], None, None)
    connected.sync()
    item = only(connected, "1")
    assert (item["isMember"], item["mismatches"], item["exclusion"], item["status"]) == (True, [], None, "subscribed")
    assert (item["rejection"], item["rejectionText"]) == (None, None)


def test_the_criteria_that_do_not_match_are_named(connected: Tenant) -> None:
    connected.add_employees({"id": "1", "email": "ann@acme.test", "department": "Sales", "location": "Oslo"})
    connected.create(filterCriteria={"department": ["Legal"], "location": ["oslo"], "employmentStatus": ["retired"]})
    assert only(connected, "1")["mismatches"] == ["department", "employmentStatus"]


def test_rows_of_two_posts_that_match_only_together_name_all_criteria(connected: Tenant) -> None:
    connected.add_employees(
        {"id": "1", "email": "ann@acme.test", "department": "Sales", "location": "Oslo"},
        {"id": "1", "email": "ann@acme.test", "department": "Legal", "location": "Bergen"},
    )
    connected.create(filterCriteria={"department": ["Legal"], "location": ["Oslo"]})
    assert only(connected, "1")["mismatches"] == ["department", "location"]


def test_each_exclusion_is_said(connected: Tenant) -> None:
    connected.add_employees(
        {"id": "1", "email": "ann@acme.test"},
        {"id": "2", "email": "ann@acme.test"},
        {"id": "3", "email": ""},
        {"id": "4", "email": "not an address"},
        {"id": "5", "email": "eve@acme.test"},
        {"id": "6", "email": "eve@acme.test"},
        {"id": "7", "email": "zoe@acme.test"},
    )
    connected.create()
    connected.sync()
    opt(connected, "5", opted_in=False)
    connected.mutate("preferences.gdprDelete", {"entityType": "employee", "entityId": "7"})
    found = {entity_id: only(connected, entity_id)["exclusion"] for entity_id in "1234567"}
    assert found == {
        "1": None,
        "2": "duplicate",
        "3": "missing_address",
        "4": "invalid_address",
        "5": "opted_out",
        "6": "opted_out",
        "7": "erased",
    }
    assert {each: explained(connected, each)["isErased"] for each in "67"} == {"6": False, "7": True}


def test_what_is_said_is_what_the_next_sync_does(connected: Tenant) -> None:
    connected.add_employees(
        {"id": "1", "email": "ann@acme.test"},
        {"id": "2", "email": "ann@acme.test"},
        {"id": "3", "email": "eve@acme.test"},
    )
    connected.create()
    connected.sync()
    opt(connected, "3", opted_in=True)
    connected.mutate("preferences.setConsentRule", {"optInOnly": True})
    assert [only(connected, each)["exclusion"] for each in "123"] == ["no_consent", "no_consent", None]
    connected.sync()
    assert [only(connected, each)["isMember"] for each in "123"] == [False, False, True]


def test_a_rejected_contact_has_the_reason_and_what_to_do(connected: Tenant) -> None:
    connected.add_employees({}, {}, {}, {}, {"email": "fake@example.com"})
    connected.create()
    connected.sync()
    item = only(connected, "5")
    assert (item["isMember"], item["rejection"], item["status"]) == (True, "looks_fake", None)
    assert "looks fake" in item["rejectionText"].lower()


def test_a_contact_that_the_source_does_not_have_matches_nothing(connected: Tenant) -> None:
    connected.add_employees({"id": "1", "email": "ann@acme.test"})
    connected.create()
    connected.sync()
    connected.remove_employees()
    found = explained(connected, "1")
    assert (found["isInSource"], found["isKnown"], found["items"][0]["isMember"]) == (False, True, True)
    nobody = explained(connected, "nobody")
    assert (nobody["isKnown"], nobody["items"][0]["isMember"]) == (False, False)


def test_who_left_the_source_and_the_segment_is_known_with_the_status_in_the_audience(connected: Tenant) -> None:
    connected.add_employees({"id": "1", "email": "ann@acme.test"}, {}, {"id": "3"}, {"id": "4"})
    connected.create()
    connected.sync()
    connected.remove_employees()
    connected.add_employees({"id": "5"}, {"id": "6"}, {"id": "3"}, {"id": "4"})
    connected.sync()
    found = explained(connected, "1")
    item = found["items"][0]
    assert (found["isInSource"], found["isKnown"]) == (False, True)
    assert (item["isMember"], item["status"]) == (False, "subscribed")


def test_segments_of_the_other_type_are_left_out(connected: Tenant) -> None:
    connected.add_employees({"id": "1", "email": "ann@acme.test"})
    connected.create(segmentType="vendor")
    mixed = connected.create(segmentType="mixed").data["id"]
    assert [each["segmentId"] for each in explained(connected, "1")["items"]] == [mixed]


def test_another_organisation_sees_none_of_it(stage: Stage, connected: Tenant) -> None:
    connected.add_employees({"id": "1", "email": "ann@acme.test"})
    connected.create()
    connected.sync()
    other = explained(a_tenant(stage), "1")
    assert other == {"isInSource": False, "isKnown": False, "isErased": False, "items": [], "nextCursor": None}


@pytest.mark.parametrize("limit", [1, 3])
def test_pages_cover_all_segments(connected: Tenant, limit: int) -> None:
    made = [connected.create(name=f"Segment {number}").data["id"] for number in range(4)]
    wanted = {"entityType": "employee", "entityId": "1", "limit": limit}
    seen, cursor = list[str](), None
    while True:
        page = connected.query("contacts.segments", wanted | ({"cursor": cursor} if cursor else {})).data
        seen += [each["segmentId"] for each in page["items"]]
        if (cursor := page["nextCursor"]) is None:
            break
    assert seen == made[::-1]
