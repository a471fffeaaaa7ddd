"""What is kept of each request and its answer: an id, one log line, a metric, the headers that every answer has.

A line says who by organisation and role, never by actor; no query string, body or unknown path: each may hold
an address. What does not belong here: how a line is written (`logs`).
"""

import re
from collections.abc import Collection, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from api.logs import log_failure
from api.metrics import NO_PROCEDURE, Metrics
from api.trpc import Identified, Procedure, TRPCError
from mailchimp_pipeline.logs import logger

REQUEST_ID = "x-request-id"

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
"""What every answer has, unless it says otherwise itself."""

_SERVER_ERROR = 500

_log = logger("api.requests")


@dataclass(slots=True)
class Exchange:
    """One request under way. Worker threads add to it, before the answer that waits for them is sent."""

    request_id: str
    status: int | None = None
    is_complete: bool = False
    client_left: bool = False
    path: str = NO_PROCEDURE
    caller: Identified | None = None
    calls: list[dict[str, object]] = field(default_factory=list[dict[str, object]])

    def read(self, message: Message) -> None:
        """Note what is sent, and add the headers."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body":
            self.is_complete = not message.get("more_body", False)


_current: ContextVar[Exchange] = ContextVar("exchange")


def note_caller(caller: Identified) -> None:
    """Keep who calls for the request's log line."""
    if exchange := _current.get(None):
        exchange.caller = caller


def note_call(procedure: Procedure | None, code: str, seconds: float) -> None:
    """Keep one call and its outcome for the request's log line: a stream's status is 200 whatever happens in it."""
    if exchange := _current.get(None):
        path = NO_PROCEDURE if procedure is None else procedure.path
        exchange.calls.append({"procedure": path, "code": code, "ms": _milliseconds(seconds)})


def note_path(template: str) -> None:
    """Keep where the request went for its log line, for a route whose paths must not stand there as they are."""
    if exchange := _current.get(None):
        exchange.path = template


class RequestLogMiddleware:
    """Middleware around everything else. Nothing escapes it: the server's own answers are not JSON."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, pages: Collection[str], probes: Collection[str]) -> None:
        """Name the paths in `pages` in log lines; log requests for `probes` only where they fail."""
        self._app = app
        self._metrics = metrics
        self._pages = frozenset(pages)
        self._probes = frozenset(probes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(_request_id(scope))
        token = _current.set(exchange)
        started = perf_counter()
        try:
            with bound_contextvars(request_id=exchange.request_id), self._metrics.request():
                try:
                    await self._answer(exchange, scope, receive, send)
                finally:
                    self._write_line(exchange, scope, perf_counter() - started)
        finally:
            _current.reset(token)

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            exchange.read(message)
            await send(message)

        async def received() -> Message:
            message = await receive()
            exchange.client_left = message["type"] == "http.disconnect"
            return message

        try:
            await self._app(scope, received, noted)
        except Exception as exception:
            log_failure("application", exception)
            if exchange.status is None:
                await _send_error(noted, TRPCError("INTERNAL_SERVER_ERROR", "Internal server error"))
            elif not exchange.is_complete:
                # Raised to the server, which then cuts the connection: half an answer must not look like a whole one.
                raise

    def _write_line(self, exchange: Exchange, scope: Scope, seconds: float) -> None:
        # Without an answer, since nobody waited for one, is no failure: anybody can do that at any time.
        failed = not exchange.client_left if exchange.status is None else exchange.status >= _SERVER_ERROR
        if scope["path"] in self._probes and not failed:
            return
        line: MutableMapping[str, Any] = {
            "method": scope["method"],
            "status": exchange.status,
            "ms": _milliseconds(seconds),
        }
        if exchange.calls:
            line["calls"] = exchange.calls
        else:
            line["path"] = scope["path"] if scope["path"] in self._pages | self._probes else exchange.path
        if caller := exchange.caller:
            line |= {"organisation_id": caller.organisation_id, "role": caller.role.value}
        (_log.error if failed else _log.info)("request", **line)


async def _send_error(send: Send, error: TRPCError) -> None:
    body = error.envelope()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": error.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _request_id(scope: Scope) -> str:
    """Return the id the client or a proxy gave, if it can stand in a log line; a new one otherwise."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _SANE_ID.fullmatch(given) else uuid4().hex


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
