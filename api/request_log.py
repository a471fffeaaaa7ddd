"""The middleware around all requests: a request id, one log line, a metric, and the headers of every answer.

A log line has the organisation and the role of the caller, but no actor, query string, body or unknown path: each
may contain an address.
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

from api.error_mapping import log_failure
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
"""The headers of every answer that does not set them itself."""

_SERVER_ERROR = 500

_log = logger("api.requests")


@dataclass(slots=True)
class RequestRecord:
    """What is known about a request that is not answered yet. Worker threads add to it."""

    request_id: str
    status: int | None = None
    is_complete: bool = False
    client_left: bool = False
    path: str = NO_PROCEDURE
    caller: Identified | None = None
    calls: list[dict[str, object]] = field(default_factory=list[dict[str, object]])

    def complete(self, message: Message) -> None:
        """Add the headers to an ASGI message of the answer. Record the status, and whether the answer is complete."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self.request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body":
            self.is_complete = not message.get("more_body", False)


_current: ContextVar[RequestRecord] = ContextVar("request record")


def note_caller(caller: Identified) -> None:
    """Record the caller for the request's log line."""
    if record := _current.get(None):
        record.caller = caller


def note_call(procedure: Procedure | None, code: str, seconds: float) -> None:
    """Record a procedure call for the request's log line: the status of a stream is 200 even if its calls fail."""
    if record := _current.get(None):
        path = NO_PROCEDURE if procedure is None else procedure.path
        record.calls.append({"procedure": path, "code": code, "ms": _milliseconds(seconds)})


def note_path(template: str) -> None:
    """Record a path to log instead of the request's real path, which is a secret."""
    if record := _current.get(None):
        record.path = template


class RequestLogMiddleware:
    """The outermost middleware. It logs each request, and adds headers to each answer.

    It answers exceptions of the application with an error in JSON, because the server would not answer in JSON.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, *, pages: Collection[str], probes: Collection[str]) -> None:
        """Write the paths in `pages` and `probes` to the log. Requests for `probes` are logged only if they fail."""
        self._app = app
        self._metrics = metrics
        self._pages = frozenset(pages)
        self._probes = frozenset(probes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application, and log it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord(_request_id(scope))
        token = _current.set(record)
        started = perf_counter()
        try:
            with bound_contextvars(request_id=record.request_id), self._metrics.request():
                try:
                    await self._answer(record, scope, receive, send)
                finally:
                    self._write_line(record, scope, perf_counter() - started)
        finally:
            _current.reset(token)

    async def _answer(self, record: RequestRecord, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            record.complete(message)
            await send(message)

        async def received() -> Message:
            message = await receive()
            record.client_left = message["type"] == "http.disconnect"
            return message

        try:
            await self._app(scope, received, sent)
        except Exception as exception:
            log_failure("application", exception)
            if record.status is None:
                await _send_error(sent, TRPCError("INTERNAL_SERVER_ERROR", "Internal server error"))
            elif not record.is_complete:
                # The server then closes the connection: an incomplete answer must not look like a complete one.
                raise

    def _write_line(self, record: RequestRecord, scope: Scope, seconds: float) -> None:
        # A client that left before the answer is not a failure: any client can do that.
        failed = not record.client_left if record.status is None else record.status >= _SERVER_ERROR
        if scope["path"] in self._probes and not failed:
            return
        line: MutableMapping[str, Any] = {
            "method": scope["method"],
            "status": record.status,
            "ms": _milliseconds(seconds),
        }
        if record.calls:
            line["calls"] = record.calls
        else:
            line["path"] = scope["path"] if scope["path"] in self._pages | self._probes else record.path
        if caller := record.caller:
            line |= {"organisation_id": caller.organisation_id, "role": caller.role.value}
        (_log.error if failed else _log.info)("request", **line)


async def _send_error(send: Send, error: TRPCError) -> None:
    body = error.envelope()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": error.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _request_id(scope: Scope) -> str:
    """Return the `x-request-id` of the request if it is safe to log, otherwise a new id."""
    given = Headers(scope=scope).get(REQUEST_ID, "")
    return given if _SANE_ID.fullmatch(given) else uuid4().hex


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
