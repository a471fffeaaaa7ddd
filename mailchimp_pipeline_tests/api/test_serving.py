"""The server process: where it listens, what it says when it cannot, and how it ends."""

import http.client
import json
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from subprocess import PIPE

import pytest

from api.serving import ApiNotStarted, in_thread, listen
from mailchimp_pipeline_tests.api.served import a_token

PROGRAM = """
from api.app import create_app
from mailchimp_pipeline.logs import configure_logging
from api.serving import listen, serve
from mailchimp_pipeline_tests.api.served import entered, parts

configure_logging()
listener = listen(0)
app = create_app(parts(close=lambda: print("closed", flush=True)))
serve(app, listener, on_ready=lambda: print(listener.getsockname()[1], flush=True))
"""


def ponder(port: int) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    headers = {"authorization": f"Bearer {a_token()}", "content-type": "application/json"}
    connection.request("POST", "/api/trpc/notes.ponder", headers=headers)
    try:
        return connection.getresponse().read()
    finally:
        connection.close()


def in_flight(port: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("mailchimp_pipeline_api_req"))


def test_sigterm_lets_calls_under_way_finish_and_closes_the_parts() -> None:
    with (
        subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=PIPE, stderr=PIPE, text=True) as process,
        ThreadPoolExecutor() as threads,
    ):
        assert process.stdout
        port = int(process.stdout.readline())
        answer = threads.submit(ponder, port)
        while in_flight(port) < 2:
            pass
        process.send_signal(signal.SIGTERM)
        out, log = process.communicate(timeout=10)

    assert json.loads(answer.result()) == {"result": {"data": "pondered"}}
    assert out == "closed\n"
    assert all(json.loads(line)["level"] == "info" for line in log.splitlines())


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

    with pytest.raises(ApiNotStarted, match="look at what it logged"), in_thread(broken):
        raise AssertionError("served")
