"""The server process: its address, start-up errors and shutdown."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from subprocess import PIPE

import pytest

from api.serving import ApiNotStarted, in_thread, listen
from mailchimp_pipeline_tests.api.served import a_token
from mailchimp_pipeline_tests.api.trpc.wire import Answer, is_listening, send
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually

PROGRAM = """
import sys

from api.app import create_app
from api.serving import listen, serve
from api.trpc import Procedure, Procedures
from api.trpc.procedures import Kind
from mailchimp_pipeline.logs import configure_logging
from mailchimp_pipeline_tests.api.served import parts


def ponder(_caller):
    print("entered", flush=True)
    return sys.stdin.readline().strip()


configure_logging()
listener = listen(0)
procedures = Procedures(Procedure("ponder", Kind.MUTATION, ponder, str, None))
app = create_app(parts(procedures=procedures, close=lambda: print("closed", flush=True)))
serve(app, listener, on_ready=lambda: print(listener.getsockname()[1], flush=True))
"""


@contextmanager
def a_server() -> Generator[subprocess.Popen[str]]:
    """Run the server in a process until the end of the block. `ponder` returns its input."""
    command = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ponder(port: int) -> Answer:
    headers = {"authorization": f"Bearer {a_token()}", "content-type": "application/json"}
    return send(port, "/api/trpc/ponder", "POST", None, headers)


def test_sigterm_lets_calls_under_way_finish_and_closes_the_parts() -> None:
    with ThreadPoolExecutor() as threads, a_server() as process:
        assert process.stdout
        port = int(process.stdout.readline())
        answer = threads.submit(ponder, port)
        assert process.stdout.readline() == "entered\n"
        process.send_signal(signal.SIGTERM)
        eventually(lambda: not is_listening(port))
        out, log = process.communicate("pondered\n", timeout=TIMEOUT_SECONDS)

    assert answer.result().json == {"result": {"data": "pondered"}}
    assert out == "closed\n"
    assert {json.loads(line)["level"] for line in log.splitlines()} == {"info"}


def test_a_port_that_is_taken_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ApiNotStarted, match=f"127.0.0.1:{port}.*set MAILCHIMP_PIPELINE_API_PORT"):
            listen(port)


def test_only_the_loopback_is_listened_on_unless_asked() -> None:
    with listen(0) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_an_application_that_cannot_start_is_an_error() -> None:
    async def broken(_scope: object, _receive: object, _send: object) -> None:
        raise RuntimeError("no")

    with pytest.raises(ApiNotStarted, match="see its log"), in_thread(broken):
        raise AssertionError("served")
