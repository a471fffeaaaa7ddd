"""The API in a child process, and calls to it that may get no answer."""

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from multiprocessing.process import BaseProcess

from mailchimp_pipeline.local.stack import free_port
from mailchimp_pipeline_tests.api.served import a_token
from mailchimp_pipeline_tests.api.trpc.wire import Answer, is_listening, send
from mailchimp_pipeline_tests.killed import workers
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, eventually


@contextmanager
def api(environment: workers.Environment) -> Generator[tuple[int, BaseProcess]]:
    """Run the API in a child process; yield its port and the process once it listens."""
    port = free_port()
    process = workers.start(workers.api, dict(environment), port)

    def is_up() -> bool:
        assert process.is_alive(), "the API ended"
        return is_listening(port)

    try:
        eventually(is_up, START_TIMEOUT_SECONDS)
        yield port, process
    finally:
        process.kill()
        process.join()


def call(port: int, path: str, value: Mapping[str, object]) -> Answer | None:
    """Call a mutation. Return its answer, or None if the connection breaks."""
    return _send(port, path, "POST", json.dumps(value))


def ask(port: int, path: str) -> Answer | None:
    """Call a query without input. Return its answer, or None if the connection breaks."""
    return _send(port, path, "GET", None)


def _send(port: int, path: str, method: str, body: str | None) -> Answer | None:
    headers = {"authorization": f"Bearer {a_token()}", "content-type": "application/json"}
    try:
        return send(port, f"/api/trpc/mailchimp.{path}", method, body, headers)
    except (OSError, HTTPException):
        return None
