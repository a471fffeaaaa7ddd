"""One call on the wire: what is sent, what is waited for, what is tried again, and who gets to know of it."""

import logging
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event

import pytest

from mailchimp_pipeline.local_stack import free_port
from mailchimp_pipeline.mailchimp import Retries, ThreadSlots, Timeouts
from mailchimp_pipeline.mailchimp.errors import (
    KeyRefused,
    Redirected,
    Throttled,
    TimedOut,
    Unavailable,
)
from mailchimp_pipeline_tests.mailchimp.builders import (
    A_HASH,
    A_KEY,
    LIST_ID,
    CountingSlots,
    Time,
    a_client,
    a_member,
    a_problem,
)
from mailchimp_pipeline_tests.mailchimp.scripted import Reply, scripted
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS

AN_ACCOUNT = Reply(body={"account_id": "x1", "account_name": "Acme", "role": "owner"})
NO_ANSWER = Reply(cut=True)
THROTTLED = Reply(429)


def test_the_key_goes_along_as_a_password() -> None:
    with scripted(AN_ACCOUNT) as script, a_client(script.root) as client:
        client.account()
    assert script.only.path == "/3.0/"
    assert script.only.headers["Authorization"].startswith("Basic ")
    assert script.only.headers["User-Agent"] == "mailchimp-pipeline"


def test_a_redirect_is_not_followed() -> None:
    with scripted(AN_ACCOUNT) as elsewhere:
        reply = Reply(302, headers={"Location": f"{elsewhere.root}/"})
        with scripted(reply) as script, a_client(script.root) as client, pytest.raises(Redirected):
            client.account()
    assert elsewhere.asked == []


def test_cookies_are_not_kept() -> None:
    with (
        scripted(Reply(body=AN_ACCOUNT.body, headers={"Set-Cookie": "a=b"})) as script,
        a_client(script.root) as client,
    ):
        client.account()
        client.account()
    assert "Cookie" not in script.asked[1].headers


@pytest.mark.parametrize(
    "failure",
    [
        NO_ANSWER,
        THROTTLED,
        Reply(403, b"<html>Request Blocked</html>"),
        Reply(502, b"<html>"),
        Reply(200, b""),
        Reply(200, b'{"account_id": "x'),
        Reply(200, b'{"account_id": "x"}', announced=500),
        Reply(200, b"<html>Just a moment</html>"),
        Reply(200, []),
        Reply(200, b"\x1f\x8b not gzip", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_a_passing_failure_is_tried_again(failure: Reply) -> None:
    when = Time()
    with scripted(failure, AN_ACCOUNT) as script, a_client(script.root, retries=when.retries()) as client:
        assert client.account().account_name == "Acme"
    assert len(when.pauses) == 1


def test_a_lasting_failure_is_not_tried_again() -> None:
    when = Time()
    with (
        scripted(Reply(401, a_problem(401, "API Key Invalid"))) as script,
        a_client(script.root, retries=when.retries()) as client,
        pytest.raises(KeyRefused),
    ):
        client.account()
    assert len(script.asked) == 1


def test_pauses_grow_until_the_budget_is_spent() -> None:
    when = Time()
    with (
        scripted(THROTTLED) as script,
        a_client(script.root, retries=when.retries(budget=30)) as client,
        pytest.raises(Throttled),
    ):
        client.account()
    assert when.pauses == sorted(when.pauses)
    assert 10 < sum(when.pauses) <= 30
    assert len(script.asked) == len(when.pauses) + 1


def test_once_patience_was_spent_in_vain_the_next_call_is_tried_once() -> None:
    when = Time()
    with scripted(THROTTLED) as script, a_client(script.root, retries=when.retries(budget=1.2)) as client:
        for asked in (2, 3):
            with pytest.raises(Throttled):
                client.account()
            assert len(script.asked) == asked


def test_an_answer_brings_patience_back() -> None:
    when = Time()
    replies = (THROTTLED, THROTTLED, AN_ACCOUNT, THROTTLED, AN_ACCOUNT)
    with scripted(*replies) as script, a_client(script.root, retries=when.retries(budget=1.2)) as client:
        with pytest.raises(Throttled):
            client.account()
        client.account()
        assert client.account().account_name == "Acme"
    assert len(script.asked) == len(replies)


def test_a_refused_key_is_told_of_before_the_error_is() -> None:
    told = list[str]()
    with (
        scripted(Reply(401, a_problem(401, "API Key Invalid"))) as script,
        a_client(script.root, key_refused=lambda: told.append("refused")) as client,
        pytest.raises(KeyRefused),
    ):
        client.account()
    assert told == ["refused"]


def test_a_retry_after_is_waited_for() -> None:
    when = Time()
    with (
        scripted(Reply(503, headers={"Retry-After": "17"}), AN_ACCOUNT) as script,
        a_client(script.root, retries=when.retries()) as client,
    ):
        client.account()
    assert when.pauses == [17]


def test_a_retry_after_beyond_the_budget_is_not_waited_for() -> None:
    when = Time()
    with (
        scripted(Reply(429, headers={"Retry-After": "3600"})) as script,
        a_client(script.root, retries=when.retries()) as client,
        pytest.raises(Throttled),
    ):
        client.account()
    assert when.pauses == []


def test_the_time_an_attempt_takes_is_part_of_the_budget() -> None:
    ticks = iter(range(0, 10_000, 40))
    rule = Retries(budget=100, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    with (
        scripted(NO_ANSWER) as script,
        a_client(script.root, retries=rule) as client,
        pytest.raises(Unavailable),
    ):
        client.account()
    assert len(script.asked) == 3


def test_an_answer_that_takes_too_long_is_not_waited_for() -> None:
    waited_in_vain = Event()
    reply = replace(AN_ACCOUNT, let_go=waited_in_vain)
    with scripted(reply) as script, a_client(script.root, timeouts=Timeouts(PATIENCE_SECONDS, 0.05)) as client:
        with pytest.raises(TimedOut):
            client.account()
        waited_in_vain.set()


def test_a_closed_port_is_an_unavailable_mailchimp() -> None:
    with a_client(f"http://127.0.0.1:{free_port()}/3.0") as client, pytest.raises(Unavailable):
        client.account()


def test_a_pause_holds_no_slot() -> None:
    slots, when = CountingSlots(), Time()
    held: list[int] = []
    rule = Retries(budget=60, sleep=lambda _: held.append(slots.held), clock=when.clock)
    with (
        scripted(THROTTLED, THROTTLED, AN_ACCOUNT) as script,
        a_client(script.root, retries=rule, slots=slots) as client,
    ):
        client.account()
    assert held == [0, 0]
    assert slots.taken == 3


def test_threads_share_a_client_within_its_slots() -> None:
    with (
        scripted(Reply(body={"health_status": "ok"}, delay=0.05)) as script,
        a_client(script.root, slots=ThreadSlots(2)) as client,
        ThreadPoolExecutor(6) as pool,
    ):
        begun = time.monotonic()
        for calling in [pool.submit(client.ping) for _ in range(6)]:
            calling.result()
        assert time.monotonic() - begun > 0.14
    assert len(script.asked) == 6


def test_nobody_learns_the_key_or_the_member_from_an_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        scripted(NO_ANSWER) as script,
        a_client(script.root) as client,
        pytest.raises(Unavailable) as failed,
    ):
        client.member_status(LIST_ID, A_HASH)
    told = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert A_HASH not in told
    assert A_KEY not in told
    assert failed.value.__context__ is None


def test_nobody_learns_the_member_from_an_answer_that_is_not_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        scripted(Reply(body=[a_member()])) as script,
        a_client(script.root) as client,
        pytest.raises(Unavailable) as failed,
    ):
        client.member_status(LIST_ID, A_HASH)
    told = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert A_HASH not in told
    assert "engine.test" not in told
