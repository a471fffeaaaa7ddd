"""Hooks on calls, the journal, signup limits and the clock."""

from collections.abc import Iterator
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from hashlib import md5
from typing import cast

import pytest

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, START, AudienceApi, SetClock, a_member
from sandbox import (
    CallEnded,
    CallStarted,
    Fault,
    FaultKind,
    Hook,
    MemberChanged,
    Sandbox,
    SandboxControl,
    SignupLimit,
    SignupLimitKind,
    Status,
)
from sandbox.model.members import Actor

BATCH = "/lists/{list_id}"


@pytest.fixture
def control(sandbox: Sandbox) -> Iterator[SandboxControl]:
    """Return the HTTP client of the control operations."""
    with SandboxControl(sandbox.url) as control:
        yield control


def test_an_administrator_acts_just_before_the_second_batch(control: SandboxControl, api: AudienceApi) -> None:
    api.batch(a_member(ANN))
    arguments = {"list_id": api.list_id, "address": ANN}
    hook = Hook(method="POST", route=BATCH, list_id=api.list_id, nth=2)
    control.call("add_hook", hook=hook, act="unsubscribe_as_admin", arguments=arguments)
    api.batch(a_member(BOB))
    assert api.status(ANN) == "subscribed"
    (error,) = api.batch(a_member(ANN))["errors"]
    assert "already a list member" in error["error"]
    assert api.status(ANN) == "unsubscribed"
    api.batch(a_member(ANN), update_existing=True)
    assert api.status(ANN) == "subscribed"


def test_what_is_done_after_a_call_is_done_before_its_answer(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.on_call(Hook(when="after", method="POST"), lambda: sandbox.archive_as_admin(api.list_id, ANN))
    assert api.batch(a_member())["new_members"][0]["status"] == "subscribed"
    assert api.status() == "archived"


def test_a_callback_may_call_the_api(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.on_call(Hook(method="GET", route="/ping"), lambda: api.batch(a_member()))
    with AudienceApi(sandbox.api_root, api.list_id) as other:
        assert other.get("/ping").status_code == 200
    assert api.status() == "subscribed"


def test_a_hook_waits_for_a_call_that_is_carried_out(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.BROKEN, times=1))
    sandbox.on_call(Hook(method="GET", route="/ping"), lambda: sandbox.sign_up(api.list_id, ANN))
    assert (api.get("/ping").status_code, sandbox.statuses(api.list_id)) == (500, {})
    assert (api.get("/ping").status_code, sandbox.statuses(api.list_id)) == (200, {Status.SUBSCRIBED: 1})


def test_an_impossible_operation_has_no_effect_and_an_unknown_one_is_rejected(
    sandbox: Sandbox, api: AudienceApi
) -> None:
    arguments = {"list_id": api.list_id, "address": ANN}
    sandbox.add_hook(Hook(), "complain", arguments)
    sandbox.add_hook(Hook(nth=2), "sign_up", arguments)
    assert api.get("/ping").status_code == 200
    sandbox.clear_hooks()
    assert (api.get("/ping").status_code, sandbox.statuses(api.list_id)) == (200, {})
    with pytest.raises(PipelineError, match="has no operation nonsense"):
        sandbox.add_hook(Hook(), "nonsense", {})


def test_an_administrator_resubscribes_a_member_that_the_api_unsubscribed(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    for leave in (lambda: api.patch(api.member(), {"status": "unsubscribed"}), lambda: api.delete(api.member())):
        leave()
        sandbox.subscribe_as_admin(api.list_id, ANN)
        assert api.status() == "subscribed"
    sandbox.unsubscribe_by_link(api.list_id, ANN)
    with pytest.raises(PipelineError, match="Only the contact can resubscribe"):
        sandbox.subscribe_as_admin(api.list_id, ANN)


def test_the_journal_has_the_call_of_each_change(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.keep_journal()
    api.batch(a_member(ANN, status="pending"))
    sandbox.confirm(api.list_id, ANN)
    api.patch(api.member(ANN), {"email_address": BOB})
    api.delete_permanently(BOB)
    entries = sandbox.journal()
    assert [entry.number for entry in entries] == list(range(1, len(entries) + 1))
    changes = [entry for entry in entries if isinstance(entry, MemberChanged)]
    assert [(c.by, c.former_address, c.address, c.former_status, c.status) for c in changes] == [
        (Actor.API, ANN, ANN, None, Status.PENDING),
        (Actor.USER, ANN, ANN, Status.PENDING, Status.SUBSCRIBED),
        (Actor.API, ANN, BOB, Status.SUBSCRIBED, Status.SUBSCRIBED),
        (Actor.API, BOB, BOB, Status.SUBSCRIBED, None),
    ]
    calls = {entry.number: entry for entry in entries if isinstance(entry, CallStarted)}
    by = [calls[change.call].method for change in changes if change.call]
    assert by == ["POST", "PATCH", "POST"]


def test_the_journal_has_requests_and_results(control: SandboxControl, api: AudienceApi) -> None:
    api.get("/ping")
    control.call("keep_journal")
    api.batch(a_member(ANN), a_member(BOB, status="pending"))
    api.patch(api.member(subscriber_hash(ANN)), {"merge_fields": {}, "email_address": "a@acme-staff.io"})
    api.put(api.member("no@body.test"), {"status_if_new": "subscribed"})
    entries = cast("list[dict[str, object]]", control.call("journal"))
    came = [member for entry in entries for member in cast("list[dict[str, str | None]]", entry.get("members", []))]
    assert [[value for value in member.values() if value] for member in came] == [
        [ANN, ANN, "subscribed"],
        [BOB, BOB, "pending"],
        [ANN, "a@acme-staff.io"],
        ["no@body.test", "subscribed"],
    ]
    ended = [entry["is_processed"] for entry in entries if "is_processed" in entry]
    assert ended == [True, True, False]


def test_the_journal_is_recorded_on_request_only(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member())
    assert sandbox.journal() == []
    sandbox.keep_journal()
    api.get("/ping")
    assert [type(entry) for entry in sandbox.journal()] == [CallStarted, CallEnded]


def test_a_signup_limit_ends_after_some_tries_of_each_address(control: SandboxControl, api: AudienceApi) -> None:
    control.call("limit_signups", limit=SignupLimit(tries=1))
    refused = api.batch(a_member(ANN), a_member(BOB))
    assert (refused["error_count"], refused["total_created"]) == (2, 0)
    assert refused["errors"][0]["error"].endswith("we're not allowing more signups for now")
    assert api.batch(a_member(ANN), a_member(BOB))["total_created"] == 2


def test_a_signup_limit_ends_after_some_time(sandbox: Sandbox, api: AudienceApi, clock: SetClock) -> None:
    limit = SignupLimit(addresses=frozenset({ANN.upper()}), kind=SignupLimitKind.MANY_REQUESTS, seconds=3600)
    sandbox.limit_signups(limit)
    (error,) = api.batch(a_member(ANN), a_member(BOB))["errors"]
    assert error["error"] == f'Recipient "{ANN}" has too many recent signup requests'
    clock.advance(seconds=3599)
    assert api.put(api.member(ANN), a_member(ANN)).status_code == 400
    clock.advance(seconds=1)
    assert api.put(api.member(ANN), a_member(ANN)).status_code == 200


def test_signup_limits_concern_no_member_that_is_there_and_can_be_lifted(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member(ANN))
    sandbox.limit_signups(SignupLimit())
    assert api.patch(api.member(ANN), a_member(ANN, merge_fields={"FNAME": "Ann"})).status_code == 200
    assert api.patch(api.member(ANN), {"email_address": BOB}).status_code == 400
    sandbox.lift_signup_limits()
    assert api.batch(a_member(BOB))["total_created"] == 1


def test_all_times_are_by_mailchimps_clock(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.configure(clock_ahead_seconds=-120)
    theirs = START - timedelta(seconds=120)
    answer = api.put(api.member(), a_member())
    assert answer.json()["last_changed"] == theirs.isoformat()
    assert parsedate_to_datetime(answer.headers["Date"]) == theirs
    assert api.get("/nowhere").headers["Date"] == answer.headers["Date"]
    assert sandbox.members(api.list_id)[0].last_changed == theirs.astimezone(UTC)


@pytest.mark.parametrize("address", ["Info@Bücher-Werk.test", "info@xn--bcher-werk-9db.test", "info@bücher.xn--p1ai"])
def test_an_address_is_kept_as_it_is_spelled(api: AudienceApi, address: str) -> None:
    (made,) = api.batch(a_member(address))["new_members"]
    assert (made["email_address"], made["id"]) == (
        address,
        md5(address.lower().encode(), usedforsecurity=False).hexdigest(),
    )
    for key in (address, made["id"], made["contact_id"]):
        assert api.patch(f"{api.here}/members/{key}", {"merge_fields": {"FNAME": "Ada"}}).status_code == 200
