"""Clients that are slow, send no end, or no HTTP at all: what they hear, and that they are hung up on."""

import json
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from api.slow_clients import PatientProtocol
from mailchimp_pipeline_tests.api.served import Api, a_token, an_api


@contextmanager
def connected(api: Api) -> Generator[socket.socket]:
    with socket.create_connection(("127.0.0.1", api.port), timeout=5) as client:
        yield client


@pytest.fixture
def impatient() -> Generator[None]:
    """Have connections without a whole request cut soon."""
    usual, PatientProtocol.request_seconds = PatientProtocol.request_seconds, 0.2
    yield
    PatientProtocol.request_seconds = usual


def heard(client: socket.socket) -> bytes:
    """Return all that comes until the server hangs up."""
    pieces: list[bytes] = []
    while piece := client.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


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
        client.settimeout(1)

        assert b'{"result":{"data":3}}' in client.recv(65536)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("sent", [b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nhost: x\r\n"])
def test_a_request_that_is_never_whole_is_hung_up_on(sent: bytes) -> None:
    with an_api() as api, connected(api) as client:
        client.sendall(sent)

        assert heard(client) == b""


@pytest.mark.usefixtures("impatient")
def test_an_answer_may_take_longer_than_a_request() -> None:
    with an_api() as api:
        assert api.call("notes.ponder", method="POST", body="").data == "pondered"


@pytest.mark.parametrize("line", [b"GET /docs HTTP/1.1\r\nx-endless: ", b"GET /docs?", b"GET /docs HTTP/1.1\r\n"])
def test_a_head_without_end_is_refused(line: bytes) -> None:
    with an_api() as api, connected(api) as client:
        client.sendall(line + b"a: b\r\n" * 15_000 if line.endswith(b"\n") else line + b"a" * 90_000)
        answer = heard(client)

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert error_in(answer)["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("sent", [b"\x16\x03\x01 hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\x00\r\n\r\n"])
def test_what_is_no_http_is_answered_in_json(sent: bytes) -> None:
    with an_api() as api, connected(api) as client:
        client.sendall(sent)

        assert error_in(heard(client))["code"] == "BAD_REQUEST"
