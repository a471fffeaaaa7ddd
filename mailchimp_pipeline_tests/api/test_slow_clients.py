"""Clients that are slow, send no end, or no HTTP at all: what they hear, and that they are hung up on."""

import json
import socket
import time
from asyncio import TimerHandle
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from api.slow_clients import PatientProtocol
from mailchimp_pipeline_tests.api.served import Api, a_token, an_api
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS


@contextmanager
def connected(api: Api) -> Generator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.port), timeout=PATIENCE_SECONDS) as client:
        yield client


class Impatient(PatientProtocol):
    """Cuts connections soon on which no whole request comes."""

    request_seconds = 0.2


class LessImpatient(PatientProtocol):
    """Cuts them so late that a whole request comes before, and soon enough to be waited for."""

    request_seconds = 2.0


@dataclass
class Sending:
    """What the server notes of how its one client takes an answer. `timers` run while the client is behind."""

    is_behind: Event = field(default_factory=Event)
    is_cut: Event = field(default_factory=Event)
    timers: list[TimerHandle | None] = field(default_factory=list[TimerHandle | None])

    def watched(self, seconds: float) -> type[PatientProtocol]:
        """Return the protocol that notes it, and cuts connections whose client is behind for so long."""
        noted = self

        class Watched(PatientProtocol):
            send_seconds = seconds

            def pause_writing(self) -> None:
                super().pause_writing()
                noted.timers.append(self._sending)
                noted.is_behind.set()

            def connection_lost(self, exc: Exception | None) -> None:
                super().connection_lost(exc)
                noted.is_cut.set()

        return Watched


LONG = 16 * 1024 * 1024
END = b"x."


def long_answer(_request: Request) -> Response:
    """Answer more than the buffers of both sockets hold."""
    return PlainTextResponse(b"x" * LONG + END)


def slow_answer(_request: Request) -> Response:
    time.sleep(LessImpatient.request_seconds + 0.2)
    return PlainTextResponse("pondered")


def asked_for_the_long_answer(api: Api) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    client.settimeout(PATIENCE_SECONDS)
    client.connect(("127.0.0.1", api.port))
    client.sendall(b"GET /long HTTP/1.1\r\nhost: x\r\n\r\n")
    return client


def heard(client: socket.socket, end: bytes | None = None) -> bytes:
    """Return all that comes until the server hangs up, or these bytes are the last so far."""
    came = bytearray()
    with suppress(ConnectionResetError):  # so it hangs up on who still sends
        while not (end and came.endswith(end)) and (piece := client.recv(1 << 20)):
            came += piece
    return bytes(came)


def is_hung_up_on(client: socket.socket) -> bool:
    """Wait until the server hangs up, whatever it says before; fail by a time-out where it does not."""
    with suppress(ConnectionError):
        heard(client)
    return True


def error_in(answer: bytes) -> dict[str, Any]:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["data"]


def a_mutation(*, length: int) -> bytes:
    lines = ["POST /api/trpc/notes.write HTTP/1.1", "host: x", f"authorization: Bearer {a_token()}"]
    return "\r\n".join([*lines, "content-type: application/json", f"content-length: {length}", "", ""]).encode()


def test_a_body_that_does_not_come_is_answered_and_hung_up_on() -> None:
    with an_api(body_seconds=0.1) as api, connected(api) as client:
        client.sendall(a_mutation(length=100) + b'{"text"')
        answer = heard(client)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert error_in(answer)["code"] == "TIMEOUT"


def test_a_body_that_comes_in_pieces_is_read() -> None:
    with an_api() as api, connected(api) as client:
        client.sendall(a_mutation(length=14) + b'{"text"')
        client.sendall(b':"abc"}')

        assert heard(client, end=(expected := b'{"result":{"data":3}}')).endswith(expected)


@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nhost: x\r\n"])
def test_a_request_that_is_never_whole_is_hung_up_on(sent: bytes) -> None:
    with an_api(protocol=Impatient) as api, connected(api) as client:
        client.sendall(sent)

        assert heard(client) == b""


@pytest.mark.parametrize(
    ("head", "after_the_answer"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"content-length: 1\r\n", b"a"),
        (b"transfer-encoding: chunked\r\n", b"1\r\n"),
        (b"connection: upgrade\r\nupgrade: x\r\n", b"a"),
    ],
)
def test_a_connection_on_which_no_further_request_comes_is_hung_up_on(head: bytes, after_the_answer: bytes) -> None:
    with an_api(protocol=LessImpatient) as api, connected(api) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        with suppress(ConnectionError):
            client.sendall(after_the_answer)

        assert is_hung_up_on(client)


def test_requests_may_follow_each_other_on_a_connection() -> None:
    with an_api() as api, connected(api) as client:
        for body in (b"", b"content-length: 1\r\n"):
            client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + body + b"\r\n")
            assert heard(client, end=b'{"status":"ok"}').startswith(b"HTTP/1.1 200 ")
        client.sendall(b"aGET /docs HTTP/1.1\r\nhost: x\r\n\r\n")

        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_an_answer_may_take_longer_than_a_request() -> None:
    with an_api(Route("/slow", slow_answer), protocol=LessImpatient) as api:
        assert api.ask("/slow").body == b"pondered"


@pytest.mark.parametrize("line", [b"GET /docs HTTP/1.1\r\nx-endless: ", b"GET /docs?", b"GET /docs HTTP/1.1\r\n"])
def test_a_head_without_end_is_refused(line: bytes) -> None:
    with an_api() as api, connected(api) as client:
        with suppress(ConnectionResetError, BrokenPipeError):  # it may not wait for the rest
            client.sendall(line + b"a: b\r\n" * 15_000 if line.endswith(b"\n") else line + b"a" * 90_000)
        answer = heard(client)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert error_in(answer)["code"] == "BAD_REQUEST"


@pytest.mark.parametrize(
    ("begin", "goes_on"),
    [(b"0\r\n", b"x: y\r\n" * 10_000), (b"1;", b"x" * 60_000), (b"", b"ea60\r\n" + b"x" * 60_000 + b"\r\n")],
    ids=["trailers", "a chunk's extension", "body"],
)
def test_a_request_without_end_is_hung_up_on(begin: bytes, goes_on: bytes) -> None:
    with an_api() as api, connected(api) as client, pytest.raises(ConnectionError):  # noqa: PT012 - it comes while sending
        client.sendall(b"POST /healthz HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" + begin)
        for _ in range(2000):
            client.sendall(goes_on)


def test_trailers_are_no_headers() -> None:
    head = b"POST /api/trpc/notes.write HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    trailers = b"authorization: Bearer %b\r\nx-request-id: trailing\r\n" % a_token().encode()
    with an_api() as api, connected(api) as client:
        client.sendall(head + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + trailers + b"\r\n")
        answer = client.recv(65536)

    assert error_in(answer)["code"] == "UNAUTHORIZED"
    assert b"trailing" not in answer


def test_who_asks_for_another_protocol_is_answered_in_this_one_and_no_line_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with an_api() as api, connected(api) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        answer = heard(client)

    assert (answer[:13], b"connection: close" in answer) == (b"HTTP/1.1 200 ", True)
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\x00\r\n\r\n"])
def test_what_is_no_http_is_answered_in_json(sent: bytes) -> None:
    with an_api() as api, connected(api) as client:
        client.sendall(sent)
        answer = heard(client)

    assert error_in(answer)["code"] == "BAD_REQUEST"
    assert b"cache-control: no-store\r\n" in answer
    assert b"x-content-type-options: nosniff\r\n" in answer


@contextmanager
def who_sends_the_long_answer(sending: Sending, seconds: float) -> Generator[Api]:
    with an_api(Route("/long", long_answer), protocol=sending.watched(seconds)) as api:
        yield api


def test_a_client_that_does_not_take_its_answer_is_hung_up_on() -> None:
    sending = Sending()
    with who_sends_the_long_answer(sending, 0.3) as api, asked_for_the_long_answer(api) as client:
        assert sending.is_cut.wait(PATIENCE_SECONDS)

        assert 0 < len(heard(client)) < LONG


def test_a_client_that_takes_its_answer_gets_all_of_it_and_may_ask_again() -> None:
    sending = Sending()
    with who_sends_the_long_answer(sending, PATIENCE_SECONDS) as api, asked_for_the_long_answer(api) as client:
        assert sending.is_behind.wait(PATIENCE_SECONDS)
        _, _, body = heard(client, END).partition(b"\r\n\r\n")
        client.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")

        assert heard(client, end=(expected := b'{"status":"ok"}')).endswith(expected)
    assert len(body) == LONG + len(END)
    assert {timer and timer.cancelled() for timer in sending.timers} == {True}


def test_the_server_ends_though_a_client_does_not_take_its_answer() -> None:
    begun, sending = time.monotonic(), Sending()
    with who_sends_the_long_answer(sending, 0.3) as api:
        client = asked_for_the_long_answer(api)
        assert sending.is_behind.wait(PATIENCE_SECONDS)
    client.close()

    assert time.monotonic() - begun < 30
