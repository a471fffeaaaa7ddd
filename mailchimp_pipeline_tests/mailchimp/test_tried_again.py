"""Retries of a single HTTP call: which failures, which pauses, and how long."""

import pytest

from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline.mailchimp.api_errors import KeyRefused, Throttled, Unavailable
from mailchimp_pipeline_tests.mailchimp.builders import (
    Time,
    a_client,
    a_problem,
)
from mailchimp_pipeline_tests.mailchimp.scripted import AN_ACCOUNT, NO_ANSWER, THROTTLED, Reply, scripted


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
def test_a_transient_failure_is_retried(failure: Reply) -> None:
    when = Time()
    with scripted(failure, AN_ACCOUNT) as script, a_client(script.root, retries=when.retries()) as client:
        assert client.account().account_name == "Acme"
    assert len(when.pauses) == 1


def test_a_permanent_failure_is_not_retried() -> None:
    when = Time()
    with (
        scripted(Reply(401, a_problem(401, "API Key Invalid"))) as script,
        a_client(script.root, retries=when.retries()) as client,
        pytest.raises(KeyRefused),
    ):
        client.account()
    assert len(script.requests) == 1


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
    assert len(script.requests) == len(when.pauses) + 1


def test_after_an_exhausted_budget_the_next_call_is_tried_once() -> None:
    when = Time()
    with scripted(THROTTLED) as script, a_client(script.root, retries=when.retries(budget=1.2)) as client:
        for asked in (2, 3):
            with pytest.raises(Throttled):
                client.account()
            assert len(script.requests) == asked


def test_an_answer_restores_the_retry_budget() -> None:
    when = Time()
    replies = (THROTTLED, THROTTLED, AN_ACCOUNT, THROTTLED, AN_ACCOUNT)
    with scripted(*replies) as script, a_client(script.root, retries=when.retries(budget=1.2)) as client:
        with pytest.raises(Throttled):
            client.account()
        client.account()
        assert client.account().account_name == "Acme"
    assert len(script.requests) == len(replies)


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
    ticks = iter(range(0, 10_000, 15))
    rule = Retries(budget=100, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    with (
        scripted(NO_ANSWER) as script,
        a_client(script.root, retries=rule) as client,
        pytest.raises(Unavailable),
    ):
        client.account()
    assert len(script.requests) == 3
