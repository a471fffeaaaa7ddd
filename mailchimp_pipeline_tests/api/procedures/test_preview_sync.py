"""`segments.previewSync`: what a sync would do, compared with what the next one does."""

import csv
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from mailchimp_pipeline.database.locks import hold_audience
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.sync.segment_results import SegmentResult
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant

FAKE = "fake@example.com"


def preview(tenant: Tenant, segment_id: str) -> Any:  # noqa: ANN401 - JSON
    return tenant.query("segments.previewSync", {"id": segment_id}).data


def sync(tenant: Tenant, segment_id: str) -> SegmentResult:
    key = f"{tenant.organisation_id}/{segment_id}"
    (result,) = Pipeline(tenant.stage.parts).sync([key], run_id="run", push=True)
    return result


def counts(groups: Mapping[str, Any]) -> dict[str, int]:
    return {name: group["count"] for name, group in groups.items() if group["count"]}


def examples(group: Mapping[str, Any]) -> list[str]:
    return [contact["entityId"] for contact in group["examples"]]


def assert_same(planned: Any, result: SegmentResult) -> None:  # noqa: ANN401 - JSON
    """Assert that the preview has the figures of the sync that followed it."""
    done, report = result.membership, result.report
    assert done
    assert report
    actions = {name: group["count"] for name, group in planned["actions"].items()}
    assert (planned["matching"], planned["members"], planned["leaving"]) == (done.matching, done.members, done.removed)
    assert counts(planned["excluded"]) == {reason: count for reason, count in done.excluded.items() if count}
    assert (actions["add"], actions["archive"], actions["unsubscribe"]) == (
        report.new,
        report.archived,
        result.unsubscribed,
    )
    assert (actions["move"], actions["subscribeAgain"]) == (report.moved, report.returned)
    assert actions["update"] + actions["move"] + actions["subscribeAgain"] == report.changed
    assert planned["unchanged"] == report.unchanged
    assert (counts(planned["withheld"]), counts(planned["rejected"])) == (report.withheld, report.waiting)


def set_employees(tenant: Tenant, *people: Mapping[str, str]) -> None:
    """Replace the employees of the organisation in the source file."""
    path = tenant.stage.files / "employees.csv"
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([head, *(row for row in rows if row[0] != tenant.organisation_id)])
    tenant.add_employees(*people)


def person(tenant: Tenant, number: int, **changed: str) -> dict[str, str]:
    return {"id": str(number), "email": f"person{number}@{tenant.organisation_id}.test", **changed}


def opt(tenant: Tenant, number: int, *, opted_in: bool) -> None:
    word = {"entityId": str(number), "entityType": "employee", "optedIn": opted_in, "consentSource": "form"}
    assert tenant.mutate("preferences.updateOptStatus", word).status == 200


def opt_out_during_an_outage(tenant: Tenant, number: int) -> None:
    tenant.stage.sandbox.start_outage()
    try:
        opt(tenant, number, opted_in=False)
    finally:
        tenant.stage.sandbox.clear_faults()


def everything(tenant: Tenant) -> dict[str, Sequence[Any]]:
    """Return the rows of all tables."""
    with tenant.stage.parts.database.unrestricted() as connection:
        tables = connection.scalars(text("select tablename from pg_tables where schemaname = current_schema()")).all()
        return {
            table: sorted(map(str, connection.execute(text(f'select * from "{table}"')).all()))  # noqa: S608 - a name
            for table in tables
        }


@pytest.fixture
def changed(connected: Tenant) -> tuple[Tenant, str]:
    """Return an organisation whose segment was synced, and to whose contacts then everything happened that may."""
    tenant, sandbox = connected, connected.stage.sandbox
    start = [person(tenant, number) for number in range(1, 21)]
    tenant.add_employees(*start, person(tenant, 21, email=FAKE))
    segment_id: str = tenant.create(onLeave="archive").data["id"]
    assert sync(tenant, segment_id).error is None
    opt(tenant, 2, opted_in=False)
    opt(tenant, 3, opted_in=False)
    sandbox.bounce(tenant.list_id, start[3]["email"])
    assert sync(tenant, segment_id).error is None
    opt(tenant, 3, opted_in=True)
    opt_out_during_an_outage(tenant, 9)
    people = [
        *start[:4],
        person(tenant, 5, first_name="Changed"),
        person(tenant, 6, email=f"moved@{tenant.organisation_id}.test"),
        *start[8:],
        person(tenant, 21, email=FAKE),
        person(tenant, 22),
        person(tenant, 23, email=""),
        person(tenant, 24, email="nobody"),
        person(tenant, 25, email=start[9]["email"]),
    ]
    set_employees(tenant, *people)
    return tenant, segment_id


def test_the_figures_are_those_of_the_sync_that_follows(changed: tuple[Tenant, str]) -> None:
    tenant, segment_id = changed
    planned = preview(tenant, segment_id)
    expected = {"add": 1, "update": 1, "move": 1, "subscribeAgain": 1, "archive": 2, "unsubscribe": 1}
    assert counts(planned["actions"]) == expected
    assert counts(planned["excluded"]) == {"opted_out": 2, "missing_address": 1, "invalid_address": 1, "duplicate": 1}
    assert counts(planned["withheld"]) == {"cleaned_at_mailchimp": 1}
    assert counts(planned["rejected"]) == {"looks_fake": 1}
    assert (planned["error"], planned["stoppedBy"]) == (None, None)
    assert planned["audienceReadAt"] is not None
    assert_same(planned, sync(tenant, segment_id))


def test_examples_are_ids_and_no_addresses(changed: tuple[Tenant, str]) -> None:
    tenant, segment_id = changed
    answer = tenant.query("segments.previewSync", {"id": segment_id})
    planned = answer.data
    assert {name: sorted(examples(group)) for name, group in planned["actions"].items()} == {
        "add": ["22"],
        "update": ["5"],
        "move": ["6"],
        "subscribeAgain": ["3"],
        "archive": ["7", "8"],
        "unsubscribe": ["9"],
    }
    assert {name: examples(group) for name, group in planned["excluded"].items()} == {
        "opted_out": ["2", "9"],
        "missing_address": ["23"],
        "invalid_address": ["24"],
        "duplicate": ["25"],
    }
    assert examples(planned["withheld"]["cleaned_at_mailchimp"]) == ["4"]
    assert examples(planned["rejected"]["looks_fake"]) == ["21"]
    assert "@" not in answer.body.decode()


def test_nothing_is_written_and_mailchimp_is_not_called(changed: tuple[Tenant, str]) -> None:
    tenant, segment_id = changed
    before, calls = everything(tenant), tenant.stage.sandbox.counts()
    preview(tenant, segment_id)
    assert everything(tenant) == before
    assert tenant.stage.sandbox.counts() == calls


def test_before_the_first_sync_every_member_is_new(connected: Tenant) -> None:
    connected.add_employees(*[person(connected, number) for number in range(12)])
    segment_id = connected.create().data["id"]
    planned = preview(connected, segment_id)
    assert (planned["audienceReadAt"], planned["members"]) == (None, 12)
    assert planned["actions"]["add"]["count"] == 12
    assert len(set(examples(planned["actions"]["add"]))) == 10
    assert_same(planned, sync(connected, segment_id))


def test_an_erased_contact_is_counted_and_never_named(changed: tuple[Tenant, str]) -> None:
    tenant, segment_id = changed
    tenant.stage.sandbox.start_outage()
    try:
        erasure = tenant.mutate("preferences.gdprDelete", {"entityId": "10", "entityType": "employee"})
        assert erasure.data["status"] == "pending"
    finally:
        tenant.stage.sandbox.clear_faults()
    planned = preview(tenant, segment_id)
    assert planned["excluded"]["erased"] == {"count": 2, "examples": []}
    groups = [*planned["actions"].values(), *planned["excluded"].values(), *planned["withheld"].values()]
    named = {contact["entityId"] for group in groups for contact in group["examples"]}
    # Employee 25 has the address of the erased employee 10.
    assert named.isdisjoint({"10", "25"})


def test_a_mass_departure_is_announced_and_planned(changed: tuple[Tenant, str]) -> None:
    tenant, segment_id = changed
    set_employees(tenant, person(tenant, 1))
    planned = preview(tenant, segment_id)
    stopped = sync(tenant, segment_id)
    assert (planned["error"], planned["stoppedBy"]) == (stopped.error, "departures")
    assert planned["leaving"] > 10
    tenant.mutate("segments.sync", {"id": segment_id, "confirmDepartures": True})
    pipeline = Pipeline(tenant.stage.parts)
    (asked,) = (each for each in pipeline.open_requests() if each.organisation_id == tenant.organisation_id)
    (done,) = pipeline.sync([asked.partition_key], run_id="confirmed", push=True, request_ids=[asked.id])
    assert done.error is None
    # The stopped sync has unsubscribed already.
    unsubscribed = planned["actions"]["unsubscribe"] | {"count": 0}
    assert_same(planned | {"actions": planned["actions"] | {"unsubscribe": unsubscribed}}, done)


def test_an_empty_source_is_announced(changed: tuple[Tenant, str]) -> None:
    tenant, segment_id = changed
    set_employees(tenant)
    planned = preview(tenant, segment_id)
    assert (planned["error"], planned["stoppedBy"]) == (sync(tenant, segment_id).error, "departures")
    assert planned["members"] == 0


def test_the_segment_of_another_organisation_has_no_preview(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    other = a_tenant(connected.stage, connected=True)
    assert other.query("segments.previewSync", {"id": segment_id}).error["data"]["code"] == "NOT_FOUND"


def test_without_a_connection_there_is_no_preview(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    connected.mutate("connection.disconnect")
    answer = connected.query("segments.previewSync", {"id": segment_id})
    assert answer.error["data"]["code"] == "PRECONDITION_FAILED"


def test_during_a_sync_of_the_audience_there_is_no_preview(connected: Tenant) -> None:
    segment_id = connected.create().data["id"]
    with hold_audience(connected.stage.parts.database, connected.organisation_id, connected.list_id):
        answer = connected.query("segments.previewSync", {"id": segment_id})
    assert answer.error["data"]["code"] == "CONFLICT"


FATES = ("stays", "renamed", "moves", "leaves", "opts out", "opts in", "bounces", "unsubscribes", "archived", "joins")


def befall(tenant: Tenant, fates: Sequence[str], *, round_: int) -> None:
    """Let something happen to each contact, here or at Mailchimp, and write the source as it is then."""
    sandbox, list_id, people = tenant.stage.sandbox, tenant.list_id, list[dict[str, str]]()
    for number, fate in enumerate(fates, start=1):
        member = person(tenant, number)
        there = sandbox.member(list_id, member["email"])
        at_mailchimp = {
            "bounces": sandbox.bounce,
            "unsubscribes": sandbox.unsubscribe_by_link,
            "archived": sandbox.archive_as_admin,
        }
        if fate in at_mailchimp and there and there.status == "subscribed":
            at_mailchimp[fate](list_id, member["email"])
        if fate == "moves":
            member["email"] = f"moved-{number}-{round_}@{tenant.organisation_id}.test"
        if fate == "renamed":
            member["first_name"] = f"Round {round_}"
        if fate != "leaves" and (fate != "joins" or round_ > 1):
            people.append(member)
    set_employees(tenant, person(tenant, 0), *people)
    for number, fate in enumerate(fates, start=1):
        if fate in ("opts in", "opts out"):
            word = {"entityId": str(number), "entityType": "employee", "consentSource": "form"}
            tenant.mutate("preferences.updateOptStatus", word | {"optedIn": fate == "opts in"})


@settings(max_examples=4)
@given(st.lists(st.tuples(*[st.sampled_from(FATES)] * 3), min_size=6, max_size=12))
def test_whatever_happened_the_figures_are_those_of_the_sync(stage: Stage, fates: list[tuple[str, str, str]]) -> None:
    tenant = a_tenant(stage, connected=True)
    segment_id = tenant.create(onLeave="archive").data["id"]
    for round_, each in enumerate(zip(*fates, strict=True), start=1):
        befall(tenant, each, round_=round_)
        # The preview does not know what happened at Mailchimp meanwhile. A sync that is stopped has read it.
        with_pull = sync(tenant, tenant.create(filterCriteria={"department": "None"}).data["id"])
        assert with_pull.error is None
        planned = preview(tenant, segment_id)
        result = sync(tenant, segment_id)
        if planned["stoppedBy"]:
            assert planned["error"] == result.error
        else:
            assert_same(planned, result)
