"""A tRPC server in a FastAPI application on a free loopback port, and an HTTP client for it."""

import http.client
import json
import socket
import threading
from collections.abc import AsyncGenerator, Generator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import uvicorn
from fastapi import FastAPI

from api.trpc import CallHooks, Limits, Procedures, TrpcServer
from mailchimp_pipeline_tests.api.trpc.sample import Caller, authenticate, sample
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Wire:
    """A running server and its HTTP client."""

    port: int

    @property
    def url(self) -> str:
        """The base URL of all procedures."""
        return f"http://127.0.0.1:{self.port}/api/trpc"

    def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        role: str | None = "admin",
    ) -> "Answer":
        """Send a request to a path under the prefix. The body is JSON unless a header differs."""
        return send(self.port, f"/api/trpc/{target}", method, body, _headers(body, headers, role))

    @contextmanager
    def listening(self, target: str, headers: Mapping[str, str]) -> "Generator[Iterator[bytes]]":
        """Send a request as an administrator, and yield the lines of the answer as they arrive."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_SECONDS)
        with closing(connection):
            connection.request("GET", f"/api/trpc/{target}", headers=_headers(None, headers, "admin"))
            yield iter(connection.getresponse().readline, b"")

    def query(self, path: str, value: object, **how: Any) -> "Answer":  # noqa: ANN401 - as `ask` takes them
        """Send a query as httpLink does."""
        return self.ask(f"{path}?input={quote(json.dumps(value))}", **how)

    def mutate(self, path: str, value: object, **how: Any) -> "Answer":  # noqa: ANN401 - as `ask` takes them
        """Send a mutation as httpLink does."""
        return self.ask(path, method="POST", body=json.dumps(value), **how)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it is, the test compares it
        """The parsed JSON body."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:  # noqa: ANN401 - whatever it is, the test compares it
        """The output of a single successful call."""
        return self.json["result"]["data"]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a failed call or request."""
        return self.json["error"]


def send(port: int, target: str, method: str, body: bytes | str | None, headers: Mapping[str, str]) -> Answer:
    """Send a request without escaping or correcting it."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)) as connection:
        connection.request(method, target, body=body, headers=dict(headers))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())


def is_listening(port: int) -> bool:
    """Return whether a server accepts connections on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def wire(
    procedures: Procedures[Caller] | None = None,
    *,
    limits: Limits | None = None,
    hooks: CallHooks | None = None,
) -> Generator[Wire]:
    """Serve the sample procedures, or these, until the end of the block."""
    server = TrpcServer(procedures or sample(), authenticate, limits=limits, hooks=hooks or CallHooks(on_error=_ignore))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        yield
        await server.close()

    app = FastAPI(lifespan=lifespan)
    app.router.routes.append(server.route)
    with serving(app) as port:
        yield Wire(port)


@contextmanager
def serving(app: Any) -> Generator[int]:  # noqa: ANN401 - any ASGI application
    """Run an application in a thread and yield its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()

    def has_started() -> bool:
        assert thread.is_alive(), "the server ended"
        return server.started

    try:
        eventually(has_started)
        yield port
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _headers(body: bytes | str | None, headers: Mapping[str, str] | None, role: str | None) -> dict[str, str]:
    known = {} if role is None else {"authorization": f"Bearer {role}"}
    if body is not None:
        known["content-type"] = JSON
    return known | dict(headers or {})


def _ignore(_path: str, _exception: BaseException) -> None:
    """Discard the errors that tests provoke."""
