"""Request counts, connection limits and latency."""

import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests

from mailchimp_pipeline_tests.sandbox.calls import ANN, BOB, KEY, START, Api, AudienceApi, SetClock, a_member
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually
from sandbox import Fault, FaultKind, Sandbox

BATCH = "/lists/{list_id}"


@contextmanager
def held(sandbox: Sandbox, count: int) -> Generator[None]:
    """Hold the answers to the calls of the block; wait for this number of calls, then release them."""
    sandbox.add_fault(Fault(kind=FaultKind.HELD))
    try:
        yield
        eventually(lambda: sandbox.counts().total.calls == count)
    finally:
        sandbox.clear_faults()


def at_once(sandbox: Sandbox, *keys: str) -> list[requests.Response]:
    """Make a call with each key at once."""

    def ping(key: str) -> requests.Response:
        with Api(sandbox.api_root, key) as api:
            return api.get("/ping")

    with ThreadPoolExecutor(len(keys)) as pool:
        with held(sandbox, len(keys)):
            calls = [pool.submit(ping, key) for key in keys]
        return [call.result() for call in calls]


def give_up_on_a_call(sandbox: Sandbox, api: Api) -> None:
    """Make a call that gets no answer, and return once the sandbox has received it."""
    with pytest.raises(requests.ReadTimeout):
        api.session.get(f"{api.root}/ping", timeout=(TIMEOUT_SECONDS, 0.05))
    eventually(lambda: sandbox.counts().total.calls == 1)


def seconds(call: Callable[[], object]) -> float:
    """Return the duration of a call."""
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def test_ten_calls_at_once_are_answered(sandbox: Sandbox, account_id: str) -> None:
    assert {answer.status_code for answer in at_once(sandbox, *[KEY] * 10)} == {200}
    assert sandbox.counts().accounts[account_id].peak_connections == 10


def test_the_eleventh_at_once_is_refused_and_counted(sandbox: Sandbox, account_id: str) -> None:
    answers = at_once(sandbox, *[KEY] * 13)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.json()["detail"] for answer in refused} == {
        "You have exceeded the limit of 10 simultaneous connections."
    }
    traffic = sandbox.counts().accounts[account_id]
    assert (len(refused), traffic.answers(429)) == (3, 3)
    assert traffic.peak_connections > 10


@pytest.mark.usefixtures("account_id")
def test_a_refusal_can_come_without_a_body(sandbox: Sandbox) -> None:
    sandbox.configure(connection_limit=1, throttle_with_body=False, retry_after_seconds=3)
    refused = [answer for answer in at_once(sandbox, *[KEY] * 3) if answer.status_code == 429]
    assert [(answer.content, answer.headers["Retry-After"]) for answer in refused] == [(b"", "3")] * 2


def test_accounts_have_their_own_limits(sandbox: Sandbox, account_id: str) -> None:
    sandbox.configure(connection_limit=1)
    sandbox.add_account("other-us6")
    assert [answer.status_code for answer in at_once(sandbox, "other-us6", KEY)] == [200, 200]
    assert sandbox.counts().accounts[account_id].peak_connections == 1


def test_a_disconnected_client_still_holds_its_slot(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.configure(connection_limit=1)
    with held(sandbox, 2):
        give_up_on_a_call(sandbox, api)
        assert api.get("/ping").status_code == 429


def test_latency_grows_with_the_contacts(sandbox: Sandbox, api: AudienceApi) -> None:
    sandbox.configure(latency_ms=20, latency_per_contact_ms=10)
    few = seconds(lambda: api.batch(a_member(ANN)))
    many = seconds(lambda: api.batch(*(a_member(f"p{number}@acme-staff.io") for number in range(20))))
    assert (few >= 0.03, many >= 0.22) == (True, True)


def test_calls_are_counted_by_route_with_their_times(
    sandbox: Sandbox, account_id: str, api: AudienceApi, clock: SetClock
) -> None:
    api.batch(a_member(ANN))
    later = clock.advance(seconds=5)
    api.batch(a_member(BOB))
    api.get(api.member("nobody@acme-staff.io"))
    traffic = sandbox.counts().accounts[account_id]
    (batches,) = [count for count in traffic.routes if count.method == "POST"]
    assert (batches.route, batches.calls, batches.answers) == (BATCH, 2, {200: 2})
    assert (batches.first_at, batches.last_at) == (START, later)
    assert (traffic.calls, traffic.answers(404), traffic.first_call_at) == (3, 1, START)


def test_calls_without_an_account_are_counted_in_total_only(sandbox: Sandbox, account_id: str) -> None:
    with Api(sandbox.api_root, "f" * 32) as stranger:
        stranger.get("/ping")
    counts = sandbox.counts()
    assert (counts.total.calls_to("GET", "/ping"), counts.total.answers(401)) == (1, 1)
    assert account_id not in counts.accounts


def test_contacts_are_counted_as_they_come_and_as_they_are_carried_out(
    sandbox: Sandbox, account_id: str, api: AudienceApi
) -> None:
    sandbox.add_fault(Fault(kind=FaultKind.BROKEN, times=1))
    body = {"members": [a_member(ANN), a_member(BOB)]}
    assert [api.post(api.here, body).status_code for _ in range(2)] == [500, 200]
    traffic = sandbox.counts().accounts[account_id]
    assert (traffic.contacts_received, traffic.contacts_processed) == (4, 2)
    assert sandbox.times_sent(api.list_id, ANN.upper()) == 2
    assert set(sandbox.carried_out(api.list_id).values()) == {1}


def test_each_address_is_counted_for_each_audience(sandbox: Sandbox, account_id: str, api: AudienceApi) -> None:
    other = sandbox.add_audience(account_id)
    api.batch(a_member(ANN), a_member("not an address"))
    assert (sandbox.times_sent(api.list_id, ANN), sandbox.times_sent(other, ANN)) == (1, 0)
    assert len(sandbox.sent(api.list_id)) == 2


def test_counts_can_begin_anew(sandbox: Sandbox, api: AudienceApi) -> None:
    api.batch(a_member(ANN))
    sandbox.reset_counts()
    assert (sandbox.counts().total.calls, sandbox.counts().total.first_call_at) == (0, None)
    assert api.status(ANN) == "subscribed"


def test_a_sandbox_stops_although_calls_are_under_way() -> None:
    before = threading.enumerate()
    with Sandbox.running() as sandbox:
        sandbox.add_account(KEY)
        sandbox.add_fault(Fault(kind=FaultKind.HELD))
        with Api(sandbox.api_root) as api:
            give_up_on_a_call(sandbox, api)
    assert [thread.name for thread in threading.enumerate() if thread not in before] == []
