"""A tRPC server on a free port of the loopback, within a FastAPI application, and plain HTTP to talk to it."""

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
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS, eventually

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Wire:
    """A server that runs, and how to ask it."""

    port: int

    @property
    def url(self) -> str:
        """The base of all procedures' URLs."""
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
        """Send one request; `target` is what follows the prefix. A body is JSON where no header says otherwise."""
        return send(self.port, f"/api/trpc/{target}", method, body, _headers(body, headers, role))

    @contextmanager
    def listening(self, target: str, headers: Mapping[str, str]) -> "Generator[Iterator[bytes]]":
        """Ask as an administrator, and yield the lines of the answer as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        with closing(connection):
            connection.request("GET", f"/api/trpc/{target}", headers=_headers(None, headers, "admin"))
            yield iter(connection.getresponse().readline, b"")

    def query(self, path: str, value: object, **how: Any) -> "Answer":  # noqa: ANN401 - as `ask` takes them
        """Ask as httpLink does for a query."""
        return self.ask(f"{path}?input={quote(json.dumps(value))}", **how)

    def mutate(self, path: str, value: object, **how: Any) -> "Answer":  # noqa: ANN401 - as `ask` takes them
        """Ask as httpLink does for a mutation."""
        return self.ask(path, method="POST", body=json.dumps(value), **how)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it is, the test compares it
        """The body, which must be JSON."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:  # noqa: ANN401 - whatever it is, the test compares it
        """The output of a single call that succeeded."""
        return self.json["result"]["data"]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a single call that failed, or of a request."""
        return self.json["error"]


def send(port: int, target: str, method: str, body: bytes | str | None, headers: Mapping[str, str]) -> Answer:
    """Send one request as it stands; nothing is escaped or corrected."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)) as connection:
        connection.request(method, target, body=body, headers=dict(headers))
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())


def listens(port: int) -> bool:
    """Whether anybody takes connections at a port of the loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def wire(
    procedures: Procedures[Caller] | None = None,
    *,
    limits: Limits | None = None,
    hooks: CallHooks | None = None,
) -> Generator[Wire]:
    """Serve procedures (the sample's, if none are given) while the block runs."""
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
    """Run an application in a thread and give its port."""
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
    """Log nothing where a test provokes failures."""
