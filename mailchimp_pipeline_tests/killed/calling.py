"""The API in a process of its own, and calls to it that may get no answer."""

import json
import socket
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from multiprocessing.process import BaseProcess

from mailchimp_pipeline.local_stack import free_port
from mailchimp_pipeline_tests.api.served import a_token
from mailchimp_pipeline_tests.api.trpc.wire import Answer, send
from mailchimp_pipeline_tests.killed import workers

_START_SECONDS = 60


@contextmanager
def api(environment: workers.Environment) -> Generator[tuple[int, BaseProcess]]:
    """Serve the API in a process; yield its port and the process, once it listens."""
    port = free_port()
    process = workers.start(workers.api, dict(environment), port)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _listens(port):
            assert process.is_alive(), "the API ended"
            assert time.monotonic() < deadline, "the API does not listen"
            time.sleep(0.02)
        yield port, process
    finally:
        process.kill()
        process.join()


def call(port: int, path: str, value: Mapping[str, object]) -> Answer | None:
    """Call a mutation; return its answer, None where the connection broke off."""
    return _send(port, path, "POST", json.dumps(value))


def ask(port: int, path: str) -> Answer | None:
    """Call a query without input; return its answer, None where the connection broke off."""
    return _send(port, path, "GET", None)


def _send(port: int, path: str, method: str, body: str | None) -> Answer | None:
    headers = {"authorization": f"Bearer {a_token()}", "content-type": "application/json"}
    try:
        return send(port, f"/api/trpc/mailchimp.{path}", method, body, headers)
    except (OSError, HTTPException):
        return None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
