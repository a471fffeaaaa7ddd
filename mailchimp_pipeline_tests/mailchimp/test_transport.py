"""A single HTTP call: contents, time-outs and confidentiality."""

import gzip
import logging
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Event

import pytest

from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.local.stack import free_port
from mailchimp_pipeline.mailchimp import Deletion, Retries, ThreadSlots, Timeouts
from mailchimp_pipeline.mailchimp.api_errors import (
    ConnectionBroken,
    KeyRefused,
    NotTheApi,
    Redirected,
    TimedOut,
    Unavailable,
    Unreachable,
)
from mailchimp_pipeline.mailchimp.transport import LARGEST_ANSWER
from mailchimp_pipeline.sync import MemberRef
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
from mailchimp_pipeline_tests.mailchimp.scripted import AN_ACCOUNT, NO_ANSWER, THROTTLED, Reply, scripted
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS


def test_the_key_goes_along_as_a_password() -> None:
    with scripted(AN_ACCOUNT) as script, a_client(script.root) as client:
        client.account()
    assert script.only_request.path == "/3.0/"
    assert script.only_request.headers["Authorization"].startswith("Basic ")
    assert script.only_request.headers["User-Agent"] == "mailchimp-pipeline"


def test_a_redirect_is_not_followed() -> None:
    with scripted(AN_ACCOUNT) as elsewhere:
        reply = Reply(302, headers={"Location": f"{elsewhere.root}/"})
        with scripted(reply) as script, a_client(script.root) as client, pytest.raises(Redirected):
            client.account()
    assert elsewhere.requests == []


@pytest.mark.parametrize("location", ["http://[bad/x", "http://x:99999999/", "http://x/\xe4\xff", "//", ""])
def test_a_redirect_to_what_is_no_address_is_one_too(location: str) -> None:
    with (
        scripted(Reply(302, headers={"Location": location})) as script,
        a_client(script.root) as client,
        pytest.raises(Redirected),
    ):
        client.account()


def test_cookies_are_not_kept() -> None:
    with (
        scripted(Reply(body=AN_ACCOUNT.body, headers={"Set-Cookie": "a=b"})) as script,
        a_client(script.root) as client,
    ):
        client.account()
        client.account()
    assert "Cookie" not in script.requests[1].headers


class Watch:
    """Records the acceptance and rejection of keys."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def refused(self, error: KeyRefused) -> None:
        """See `mailchimp.KeyWatch`."""
        self.heard.append(type(error).__name__)

    def accepted(self) -> None:
        """See `mailchimp.KeyWatch`."""
        self.heard.append("accepted")


def test_the_key_watch_is_notified_before_the_call_returns() -> None:
    watch = Watch()
    replies = (Reply(401, a_problem(401, "API Key Invalid")), Reply(502), AN_ACCOUNT)
    with scripted(*replies) as script, a_client(script.root, key_watch=watch) as client:
        for failure in (KeyRefused, Unavailable):
            with pytest.raises(failure):
                client.account()
        client.account()
    assert watch.heard == ["KeyRefused", "accepted"]


def test_an_answer_that_drips_is_not_waited_for_without_end() -> None:
    drip = Reply(body={"account_id": "x" * 400}, drip=0.02)
    with (
        scripted(drip) as script,
        a_client(script.root, retries=Retries(budget=0), timeouts=Timeouts(1, 0.5, 0.2)) as client,
        pytest.raises(TimedOut),
    ):
        client.account()


def test_an_answer_larger_than_any_of_mailchimps_is_not_read_to_its_end() -> None:
    bomb = gzip.compress(b" " * (LARGEST_ANSWER + 1))
    with (
        scripted(Reply(body=bomb, headers={"Content-Encoding": "gzip"})) as script,
        a_client(script.root) as client,
        pytest.raises(ConnectionBroken),
    ):
        client.account()


@pytest.mark.parametrize("reply", [AN_ACCOUNT, Reply(404, a_problem(404, "Gone")), Reply(502, b"<html>")])
def test_a_connection_whose_answer_was_read_is_used_again(reply: Reply) -> None:
    with scripted(reply) as script, a_client(script.root) as client:
        for _ in range(3):
            with suppress(PipelineError):
                client.account()
    assert (len(script.requests), script.connections) == (3, 1)


def test_an_answer_that_takes_too_long_is_not_waited_for() -> None:
    waited_in_vain = Event()
    reply = replace(AN_ACCOUNT, released=waited_in_vain)
    with scripted(reply) as script, a_client(script.root, timeouts=Timeouts(TIMEOUT_SECONDS, 0.05)) as client:
        with pytest.raises(TimedOut):
            client.account()
        waited_in_vain.set()


def test_a_closed_loopback_port_fails_at_once_with_the_command_to_start_the_sandbox() -> None:
    when, root = Time(), f"http://127.0.0.1:{free_port()}/3.0"
    with a_client(root, retries=when.retries()) as client, pytest.raises(Unreachable, match="sandbox --sample"):
        client.account()
    assert when.pauses == []


def test_an_html_page_in_place_of_the_api_is_a_permanent_error() -> None:
    with scripted(Reply(404, b"<html>Not Found</html>")) as script, a_client(script.root, retries=Retries()) as client:
        with pytest.raises(NotTheApi, match="MAILCHIMP_API_ROOT"):
            client.account()
        assert len(script.requests) == 1


def test_a_404_page_after_a_valid_answer_is_retried() -> None:
    replies = (AN_ACCOUNT, Reply(404, b'{"type": "abo'), Reply(204))
    with scripted(*replies) as script, a_client(script.root, retries=Time().retries()) as client:
        client.account()
        assert client.delete_permanently(LIST_ID, MemberRef(A_HASH)) is Deletion.DELETED
    assert len(script.requests) == 3


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
    assert len(script.requests) == 6


def test_errors_contain_neither_key_nor_member(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        scripted(NO_ANSWER) as script,
        a_client(script.root) as client,
        pytest.raises(Unavailable) as failed,
    ):
        client.member_state(LIST_ID, MemberRef(A_HASH))
    error_text = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert A_HASH not in error_text
    assert A_KEY not in error_text
    assert failed.value.__context__ is None


def test_errors_about_invalid_answers_contain_no_member(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        scripted(Reply(body=[a_member()])) as script,
        a_client(script.root) as client,
        pytest.raises(Unavailable) as failed,
    ):
        client.member_state(LIST_ID, MemberRef(A_HASH))
    error_text = "".join(traceback.format_exception(failed.value)) + caplog.text
    assert A_HASH not in error_text
    assert "engine.test" not in error_text
