"""An HTTP server that sends scripted replies byte for byte, and records the requests."""

import json
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS


@dataclass(frozen=True)
class Reply:
    """One reply. A `body` other than bytes is sent as JSON; `announced` is a wrong Content-Length.

    The server sends the reply after `delay` seconds or after `released` is set, with `drip` seconds between bytes.
    """

    status: int = 200
    body: object = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    released: Event | None = None
    announced: int | None = None
    cut: bool = False
    drip: float = 0.0

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


AN_ACCOUNT = Reply(body={"account_id": "x1", "account_name": "Acme", "role": "owner"})
NO_ANSWER = Reply(cut=True)
THROTTLED = Reply(429)


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as the server received it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The parsed JSON body."""
        return json.loads(self.content)


class Script:
    """The replies in order, of which the last is repeated, and the requests."""

    def __init__(self, replies: tuple[Reply, ...]) -> None:
        self._replies = list(replies)
        self.requests: list[ReceivedRequest] = []
        self.connections = 0
        self.root = ""

    def answer(self, request: ReceivedRequest) -> Reply:
        """Record a request and return its reply."""
        self.requests.append(request)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    @property
    def only_request(self) -> ReceivedRequest:
        """The only request."""
        (request,) = self.requests
        return request


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore disconnected clients, which some tests provoke."""


@contextmanager
def scripted(*replies: Reply) -> Generator[Script]:
    """Run a server with these replies on a free loopback port."""
    script = Script(replies)
    server = _Server(("127.0.0.1", 0), _handler(script))
    script.root = f"http://127.0.0.1:{server.server_port}/3.0"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _pieces(reply: Reply) -> list[bytes]:
    return [reply.content[place : place + 1] for place in range(len(reply.content))] if reply.drip else [reply.content]


def _handler(script: Script) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            script.connections += 1
            super().setup()

        def handle_any(self) -> None:
            reply = script.answer(self._asked())
            time.sleep(reply.delay)
            if reply.released:
                reply.released.wait(TIMEOUT_SECONDS)
            self.close_connection = reply.cut or reply.announced is not None
            if reply.cut:
                return
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", **reply.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            length = len(reply.content) if reply.announced is None else reply.announced
            self.send_header("Content-Length", str(length))
            self.end_headers()
            for piece in _pieces(reply):
                self.wfile.write(piece)
                time.sleep(reply.drip)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 -- http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
            """Log nothing."""

        def _asked(self) -> ReceivedRequest:
            parts = urlsplit(self.path)
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            query = dict(parse_qsl(parts.query, keep_blank_values=True))
            return ReceivedRequest(self.command, parts.path, query, dict(self.headers), content)

    return Handler
