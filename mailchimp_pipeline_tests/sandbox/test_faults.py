"""Injected faults."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from pydantic import ValidationError

from mailchimp_pipeline_tests.sandbox.calls import AudienceApi, a_member
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually
from sandbox import Fault, FaultKind, Sandbox

BATCH = "/lists/{list_id}"


@pytest.mark.parametrize(
    ("kind", "status", "body_type"),
    [
        (FaultKind.THROTTLED, 429, None),
        (FaultKind.BLOCKED, 403, None),
        (FaultKind.BROKEN, 500, "application/problem+json; charset=utf-8"),
        (FaultKind.BAD_GATEWAY, 502, "text/html; charset=utf-8"),
        (FaultKind.UNAVAILABLE, 503, "text/html; charset=utf-8"),
        (FaultKind.EMPTY, 200, None),
    ],
)
def test_a_fault_has_its_status_and_its_kind_of_body(
    sandbox: Sandbox, api: AudienceApi, kind: FaultKind, status: int, body_type: str | None
) -> None:
    sandbox.add_fault(Fault(kind=kind, times=1))
    answer = api.get("/ping")
    assert (answer.status_code, answer.headers.get("Content-Type")) == (status, body_type)
    assert bool(answer.content) is (body_type is not None)
    assert api.get("/ping").status_code == 200


def test_a_cut_connection_gives_no_answer_and_changes_nothing(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.CUT, times=1))
    with pytest.raises(requests.ConnectionError):
        api.batch(a_member())
    assert sandbox.members(api.list_id) == []
    assert sandbox.counts().total.answers(0) == 1


def test_a_cut_connection_can_have_been_carried_out(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.CUT, times=1, applied=True))
    with pytest.raises(requests.ConnectionError):
        api.batch(a_member())
    assert len(sandbox.members(api.list_id)) == 1


@pytest.mark.parametrize(
    "fault", [Fault(kind=FaultKind.LATE, times=1, delay_seconds=600), Fault(kind=FaultKind.HELD, times=1)]
)
def test_a_late_answer_comes_after_the_change(sandbox: Sandbox, api: AudienceApi, fault: Fault) -> None:
    sandbox.add_fault(fault)
    with pytest.raises(requests.ReadTimeout):
        api.session.post(f"{api.root}{api.here}", json={"members": [a_member()]}, timeout=(TIMEOUT_SECONDS, 0.1))
    assert len(eventually(lambda: sandbox.members(api.list_id))) == 1


def test_a_late_answer_is_the_right_one_after_its_time(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.LATE, times=1, delay_seconds=0.1))
    begun = time.monotonic()
    assert api.batch(a_member())["total_created"] == 1
    assert time.monotonic() - begun >= 0.1


@pytest.mark.parametrize("release", [Sandbox.clear_faults, Sandbox.reset])
def test_an_answer_is_held_until_its_fault_is_gone(
    sandbox: Sandbox, api: AudienceApi, release: Callable[[Sandbox], None]
) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.HELD, method="POST", times=1))
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(api.batch, a_member())
        eventually(lambda: sandbox.members(api.list_id))
        with AudienceApi(sandbox.api_root, api.list_id) as other:
            assert (other.status(), held.done()) == ("subscribed", False)
        release(sandbox)
        assert held.result()["total_created"] == 1


def test_half_an_answer_is_no_json(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.MALFORMED, times=1))
    answer = api.get("/ping")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    with pytest.raises(requests.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize("kind", [FaultKind.LATE, FaultKind.HELD, FaultKind.MALFORMED])
def test_an_answer_needs_a_request_that_was_carried_out(kind: FaultKind) -> None:
    with pytest.raises(ValidationError, match="use another kind"):
        Fault(kind=kind, applied=False)


def test_a_gateway_can_fail_after_the_change(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.BAD_GATEWAY, times=1, applied=True))
    assert api.post(api.here, {"members": [a_member()]}).status_code == 502
    assert len(sandbox.members(api.list_id)) == 1


def test_retry_after_is_sent_where_it_is_set(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.THROTTLED, times=1, retry_after_seconds=7))
    assert api.get("/ping").headers["Retry-After"] == "7"
    sandbox.add_fault(Fault(kind=FaultKind.THROTTLED, times=1))
    assert "Retry-After" not in api.get("/ping").headers


def test_a_fault_befalls_its_route_and_method_only(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.BROKEN, method="POST", route=BATCH))
    assert api.post(api.here, {"members": []}).status_code == 500
    assert api.get(api.here).status_code == 200
    assert api.get("/ping").status_code == 200


def test_a_pattern_of_routes(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.BROKEN, route="/lists*"))
    assert [api.get(path).status_code for path in ("/lists", f"{api.here}/members", "/ping")] == [500, 500, 200]


def test_the_first_so_many_requests_can_pass(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.BROKEN, skip=2, times=1))
    assert [api.get("/ping").status_code for _ in range(4)] == [200, 200, 500, 200]


def test_a_share_of_requests_fails_the_same_way_each_time(sandbox: Sandbox, api: AudienceApi) -> None:
    def answers() -> list[int]:
        return [api.get("/lists").status_code for _ in range(60)]

    runs: list[list[int]] = []
    for _ in range(2):
        sandbox.reset()
        sandbox.add_fault(Fault(kind=FaultKind.BROKEN, share=0.25))
        runs.append(answers())
    assert runs[0] == runs[1]
    assert 5 <= runs[0].count(500) <= 25


def test_faults_are_counted_by_their_kind(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.BROKEN, times=2))
    for _ in range(3):
        api.get("/ping")
    assert sandbox.faults_struck() == {FaultKind.BROKEN: 2}


def test_an_outage_befalls_everything_until_it_ends(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.start_outage()
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            api.get("/ping")
    sandbox.end_outage()
    assert api.get("/ping").status_code == 200


def test_an_outage_may_look_like_something_else(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.start_outage(FaultKind.UNAVAILABLE)
    assert api.get("/ping").status_code == 503
    sandbox.clear_faults()
    assert api.get("/ping").status_code == 200


def test_a_fault_takes_its_time(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.BAD_GATEWAY, times=1, delay_seconds=0.1))
    begun = time.monotonic()
    assert api.get("/ping").status_code == 502
    assert time.monotonic() - begun >= 0.1
