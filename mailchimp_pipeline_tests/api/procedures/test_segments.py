"""`mailchimp.segments` over HTTP, the database, files and the sandbox."""

import json
import socket
from uuid import uuid4

import pytest

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.segment_store import SegmentProgress
from mailchimp_pipeline.database.sync_request_store import SyncRequest, SyncRequestStore, open_requests
from mailchimp_pipeline_tests.api.procedures.stage import Tenant, parse_time
from mailchimp_pipeline_tests.api.served import a_token
from mailchimp_pipeline_tests.waiting import eventually
from sandbox import FaultKind

SALES = {"department": ["Sales"], "location": [], "employmentType": [], "employmentStatus": []}


def test_a_new_segment_waits_for_its_first_sync(connected: Tenant) -> None:
    made = connected.create(name=" Sales ", filterCriteria={"department": "Sales"}, onLeave="archive").data
    assert (made["name"], made["onLeave"], made["status"]) == ("Sales", "archive", "pending")
    assert (made["filterCriteria"], made["mailchimpListName"]) == (SALES, "Staff")
    assert connected.query("segments.get", {"id": made["id"]}).data == made


def test_the_fields_of_a_segment_are_those_of_the_contract(connected: Tenant) -> None:
    assert list(connected.create().data) == [
        "id",
        "name",
        "description",
        "segmentType",
        "mailchimpListId",
        "mailchimpListName",
        "filterCriteria",
        "onLeave",
        "status",
        "lastError",
        "memberCount",
        "counts",
        "lastSyncedAt",
        "syncRequestedAt",
        "createdAt",
        "updatedAt",
        "softDeletedAt",
    ]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": None}, "name"),
        ({"description": "\0"}, "description"),
        ({"segmentType": "customer"}, "segmentType"),
        ({"mailchimpListId": ""}, "mailchimpListId"),
        ({"filterCriteria": {"department": 5}}, "filterCriteria"),
        ({"filterCriteria": {"department": ["a\0"]}}, "filterCriteria"),
        ({"filterCriteria": {"city": "Berlin"}}, "filterCriteria"),
        ({"filterCriteria": {"department": [str(n) for n in range(101)]}}, "filterCriteria"),
        ({"onLeave": "delete"}, "onLeave"),
        ({"memberCount": 5}, "memberCount"),
    ],
)
def test_a_wrong_field_is_named(connected: Tenant, changed: dict[str, object], field: str) -> None:
    error = connected.create(**changed).error
    assert error["data"]["code"] == "BAD_REQUEST"
    assert list(error["data"]["zodError"]["fieldErrors"]) == [field]


@pytest.mark.parametrize("list_id", ["0000000000", "../lists", "Liste ä"])
def test_an_audience_that_is_not_there_is_the_fields_error(connected: Tenant, list_id: str) -> None:
    error = connected.create(mailchimpListId=list_id).error
    assert error["data"]["code"] == "BAD_REQUEST"
    assert list(error["data"]["zodError"]["fieldErrors"]) == ["mailchimpListId"]


def test_an_audience_of_another_account_is_not_there(connected: Tenant) -> None:
    account_id = connected.stage.sandbox.add_account(f"{uuid4().hex}-us6")
    foreign = connected.stage.sandbox.add_audience(account_id)
    assert "mailchimpListId" in connected.create(mailchimpListId=foreign).error["data"]["zodError"]["fieldErrors"]


def test_an_audience_that_another_organisation_feeds_is_a_conflict(connected: Tenant, tenant: Tenant) -> None:
    assert connected.create().status == 200
    parts, shared = tenant.stage.parts, Account(connected.account_id, "Acme", ApiKey.parse(connected.api_key))
    with parts.database.organisation(tenant.organisation_id) as session:
        ConnectionStore(session, parts.keyring).connect(shared, by="bob", at=utc_now(), may_share=True)
    answer = tenant.create(mailchimpListId=connected.list_id)
    assert (answer.status, answer.error["data"]["code"]) == (409, "CONFLICT")
    assert "another organisation of this platform already feeds the audience" in answer.error["message"]
    assert connected.organisation_id not in answer.error["message"]
    assert tenant.query("segments.list").data["items"] == []


def test_no_segment_is_made_without_a_connection(tenant: Tenant) -> None:
    assert tenant.create().error["data"]["code"] == "PRECONDITION_FAILED"


def test_no_segment_is_created_while_mailchimp_is_unavailable(connected: Tenant) -> None:
    connected.stage.sandbox.start_outage(FaultKind.UNAVAILABLE)
    try:
        assert connected.create().error["data"]["code"] == "BAD_GATEWAY"
    finally:
        connected.stage.sandbox.clear_faults()
    assert connected.query("segments.list").data["items"] == []


def test_what_is_left_out_of_an_update_stays(connected: Tenant) -> None:
    made = connected.create(description="All of us", filterCriteria=SALES).data
    changed = connected.mutate("segments.update", {"id": made["id"], "name": "Sellers"}).data
    assert changed == made | {"name": "Sellers", "updatedAt": changed["updatedAt"]}
    assert parse_time(changed["updatedAt"]) > parse_time(made["updatedAt"])


def test_an_update_may_take_the_description_away(connected: Tenant) -> None:
    made = connected.create(description="All of us").data
    changes = {"id": made["id"], "description": None, "filterCriteria": {"location": "Berlin"}, "onLeave": "archive"}
    changed = connected.mutate("segments.update", changes).data
    assert (changed["description"], changed["onLeave"]) == (None, "archive")
    assert changed["filterCriteria"] == SALES | {"department": [], "location": ["Berlin"]}


@pytest.mark.parametrize("changes", [{"name": None}, {"filterCriteria": None}, {"onLeave": None}, {"name": ""}])
def test_an_update_cannot_take_away_what_a_segment_must_have(connected: Tenant, changes: dict[str, object]) -> None:
    made = connected.create().data
    error = connected.mutate("segments.update", {"id": made["id"], **changes}).error
    assert list(error["data"]["zodError"]["fieldErrors"]) == list(changes)


def test_an_update_of_nothing_changes_nothing(connected: Tenant) -> None:
    made = connected.create().data
    assert connected.mutate("segments.update", {"id": made["id"]}).data == made
    assert connected.audit_actions() == ["segment.created", "connection.connected"]


@pytest.mark.parametrize("changes", [{}, {"name": "Other"}])
def test_a_deleted_segment_is_not_there(connected: Tenant, changes: dict[str, str]) -> None:
    made = connected.create().data
    assert connected.mutate("segments.delete", {"id": made["id"]}).data["softDeletedAt"] is not None
    assert connected.query("segments.list").data["items"] == []
    answers = [connected.mutate(f"segments.{verb}", {"id": made["id"]}) for verb in ("delete", "sync")]
    answers.append(connected.query("segments.get", {"id": made["id"]}))
    answers.append(connected.mutate("segments.update", {"id": made["id"], **changes}))
    assert {answer.error["data"]["code"] for answer in answers} == {"NOT_FOUND"}


def test_pages_follow_each_other_while_segments_come_and_go(connected: Tenant) -> None:
    made = [connected.create(name=f"Segment {number}").data for number in range(5)]
    first = connected.query("segments.list", {"limit": 2}).data
    connected.create(name="Newer")
    connected.mutate("segments.delete", {"id": made[2]["id"]})
    second = connected.query("segments.list", {"limit": 2, "cursor": first["nextCursor"]}).data
    assert [one["name"] for one in first["items"] + second["items"]] == [f"Segment {number}" for number in (4, 3, 1, 0)]
    assert second["nextCursor"] is None


def test_pages_of_one_status_leave_the_other_segments_out(connected: Tenant) -> None:
    made = [connected.create(name=f"Segment {number}").data for number in range(6)]
    with connected.stage.parts.database.organisation(connected.organisation_id) as session:
        for number in (0, 2, 5):
            SegmentProgress(session).mark_error(made[number]["id"], "The audience is gone.", at=utc_now())
    names: list[list[str]] = []
    cursor = None
    while not names or cursor:
        page = connected.query("segments.list", {"status": "error", "limit": 2, "cursor": cursor}).data
        names.append([segment["name"] for segment in page["items"]])
        cursor = page["nextCursor"]
    assert names == [["Segment 5", "Segment 2"], ["Segment 0"]]
    assert connected.query("segments.list", {"status": "synced"}).data["items"] == []
    assert len(connected.query("segments.list", {"status": None}).data["items"]) == 6


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "5"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"status": "odd"}, "status"),
        ({"status": ["error"]}, "status"),
    ],
)
def test_a_page_that_cannot_be_is_refused(tenant: Tenant, asked: dict[str, object], field: str) -> None:
    error = tenant.query("segments.list", asked).error
    assert (error["data"]["code"], list(error["data"]["zodError"]["fieldErrors"])) == ("BAD_REQUEST", [field])


def waiting(tenant: Tenant) -> list[SyncRequest]:
    with tenant.stage.parts.database.everyone() as session:
        theirs = [one for one in open_requests(session) if one.organisation_id == tenant.organisation_id]
    return [request for request in theirs if request.run_id is None]


def test_asking_twice_for_a_sync_is_one_request(connected: Tenant) -> None:
    made = connected.create().data
    first, second = (connected.mutate("segments.sync", {"id": made["id"]}).data for _ in range(2))
    assert first == second == made | {"syncRequestedAt": first["syncRequestedAt"]}
    assert [(one.segment_id, one.requested_by) for one in waiting(connected)] == [(made["id"], "alice")]
    assert connected.audit_actions().count("segment.sync_requested") == 1


def test_a_segment_says_when_its_sync_was_requested_until_the_request_has_ended(connected: Tenant) -> None:
    made, other = connected.create().data, connected.create().data
    before = utc_now()
    asked = connected.mutate("segments.sync", {"id": made["id"]}).data["syncRequestedAt"]
    assert before <= parse_time(asked) <= utc_now()
    listed = {each["id"]: each["syncRequestedAt"] for each in connected.query("segments.list").data["items"]}
    assert listed == {made["id"]: asked, other["id"]: None}

    (request,) = waiting(connected)
    with connected.stage.parts.database.organisation(connected.organisation_id) as session:
        SyncRequestStore(session).start([request.id], segment_ids=[made["id"]], run_id="run", at=utc_now())
    assert connected.query("segments.get", {"id": made["id"]}).data["syncRequestedAt"] == asked
    with connected.stage.parts.database.organisation(connected.organisation_id) as session:
        SyncRequestStore(session).finish(request.id, at=utc_now())
    assert connected.query("segments.get", {"id": made["id"]}).data["syncRequestedAt"] is None


def test_a_request_that_failed_is_not_waited_for(connected: Tenant) -> None:
    made = connected.create().data
    connected.mutate("segments.sync", {"id": made["id"]})
    connected.mutate("connection.disconnect")
    assert connected.query("segments.get", {"id": made["id"]}).data["syncRequestedAt"] is None


def test_a_sync_may_be_asked_for_while_another_runs(connected: Tenant) -> None:
    made = connected.create().data
    connected.mutate("segments.sync", {"id": made["id"]})
    with connected.stage.parts.database.organisation(connected.organisation_id) as session:
        (request,) = waiting(connected)
        SyncRequestStore(session).start([request.id], segment_ids=[made["id"]], run_id="run", at=utc_now())
    connected.mutate("segments.sync", {"id": made["id"]})
    assert len(waiting(connected)) == 1


def test_no_sync_waits_for_a_connection_that_was_ended(connected: Tenant) -> None:
    made = connected.create().data
    connected.mutate("segments.sync", {"id": made["id"]})
    (asked,) = waiting(connected)
    connected.mutate("connection.disconnect")
    with connected.stage.parts.database.organisation(connected.organisation_id) as session:
        ended = SyncRequestStore(session).get(asked.id)
    assert (waiting(connected), ended and ended.status) == ([], "failed")
    assert connected.audit_actions()[:2] == ["segment.sync_request_ended", "connection.disconnected"]


def test_no_sync_waits_without_a_connection(connected: Tenant) -> None:
    made = connected.create().data
    connected.mutate("connection.disconnect")
    assert connected.mutate("segments.sync", {"id": made["id"]}).error["data"]["code"] == "PRECONDITION_FAILED"
    assert waiting(connected) == []
    assert "segment.sync_requested" not in connected.audit_actions()


def test_a_preview_counts_members_and_exclusions(tenant: Tenant) -> None:
    tenant.add_employees({}, {"department": "Legal"}, {"email": "nobody"}, {"email": ""}, {})
    out = {"entityId": "1", "entityType": "employee", "optedIn": False, "consentSource": "dashboard"}
    tenant.mutate("preferences.updateOptStatus", out)
    counted = tenant.query("segments.preview", {"segmentType": "employee", "filterCriteria": {"department": "sales"}})
    excluded = {"opted_out": 1, "missing_address": 1, "invalid_address": 1}
    assert counted.data == {"matching": 4, "members": 1, "excluded": excluded}


def test_a_preview_keeps_and_sends_nothing(connected: Tenant) -> None:
    connected.add_employees({}, {})
    before = connected.stage.sandbox.counts()
    assert connected.query("segments.preview", {"segmentType": "mixed"}).data["members"] == 2
    assert connected.stage.sandbox.counts() == before
    assert connected.audit_actions() == ["connection.connected"]


def test_a_preview_of_one_organisation_counts_nobody_of_another(tenant: Tenant) -> None:
    assert tenant.query("segments.preview", {"segmentType": "mixed"}).data == {
        "matching": 0,
        "members": 0,
        "excluded": {},
    }


def test_a_batch_in_which_one_call_fails_answers_the_others(connected: Tenant) -> None:
    made = connected.create().data
    inputs = {"0": {"id": made["id"]}, "1": {"id": str(uuid4())}}
    paths = "segments.sync,mailchimp.segments.sync"
    answer = connected.ask(f"{paths}?batch=1", method="POST", value=inputs)
    assert answer.status == 207
    assert answer.json[0]["result"]["data"]["id"] == made["id"]
    assert answer.json[1]["error"]["data"]["code"] == "NOT_FOUND"


def test_a_client_that_goes_away_does_not_undo_its_mutation(connected: Tenant) -> None:
    made = connected.create().data
    body = json.dumps({"id": made["id"], "name": "Renamed"})
    head = [
        "POST /api/trpc/mailchimp.segments.update HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"authorization: Bearer {a_token(organisation_id=connected.organisation_id)}",
        f"content-length: {len(body)}",
    ]
    with socket.create_connection(("127.0.0.1", connected.stage.port)) as client:
        client.sendall("\r\n".join([*head, "", body]).encode())

    def name_if_changed() -> str | None:
        name: str = connected.query("segments.get", {"id": made["id"]}).data["name"]
        return None if name == "Everybody" else name

    assert eventually(name_if_changed) == "Renamed"
