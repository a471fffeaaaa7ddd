"""Parses a request: its calls, their inputs, and the form of the answer.

An error of `read_request` or `read_body` is about the whole request, so it has no procedure's path.
"""

import asyncio
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from pydantic_core import from_json, to_json
from starlette.types import Message, Receive, Scope

from api.trpc.concurrency import Concurrency
from api.trpc.error_codes import TRPCError
from mailchimp_pipeline.errors import TransientError

UNDEFINED = b"null"
"""The JSON of an input that was not sent: Python does not distinguish null and undefined."""

BODY_SECONDS = 15.0

_CONCURRENCY = Concurrency(total=64, per_organisation=4)
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a request's size and time, and of how many calls run at once.

    `batch_size` is the maximum number of calls in a batch. With 0, each request has one call.
    """

    batch_size: int = 50
    body_bytes: int = 1_000_000
    url_bytes: int = 16_384
    body_seconds: float = BODY_SECONDS
    concurrency: Concurrency = _CONCURRENCY


class Form(Enum):
    """The form of the answer: one object, an array, or a stream (JSON lines for tRPC client 11, one object for 10)."""

    SINGLE = auto()
    BATCH = auto()
    JSON_LINES = auto()
    OBJECT_LINES = auto()


@dataclass(frozen=True, slots=True)
class TrpcRequest:
    """The calls of one request. `paths` are their procedures, `query_input` is the JSON in the URL's `input`."""

    method: str
    paths: list[str]
    form: Form
    query_input: bytes | None


class ClientLeftError(TransientError):
    """The client left before its request was complete."""


class Inputs:
    """The inputs of a request's calls. They are parsed when the first call needs its input."""

    def __init__(self, request: TrpcRequest, body: bytes | None) -> None:
        """Take the JSON from the URL of a GET request, else from `body`, which is None if it was too long."""
        self._text = request.query_input or b"" if request.method == "GET" else body
        self._single = request.form is Form.SINGLE
        self._lock = threading.Lock()
        self._by_index: Mapping[str, object] | None = None

    def text(self, index: int) -> bytes:
        """Return the JSON of the input of the call with this index.

        Raises BAD_REQUEST if the inputs are not valid JSON, and PAYLOAD_TOO_LARGE if the body was too long.
        """
        if self._text is None:
            raise TRPCError("PAYLOAD_TOO_LARGE", "The request's body is too large: send less, or in several requests")
        if not self._text:
            return UNDEFINED
        if self._single:
            if b"NaN" in self._text or b"Infinity" in self._text:
                # The parser of the models accepts these two; this one raises if they are outside a string.
                _parsed(self._text)
            return self._text
        with self._lock:
            if self._by_index is None:
                self._by_index = _batch(self._text)
        return to_json(self._by_index[str(index)]) if str(index) in self._by_index else UNDEFINED


def read_request(scope: Mapping[str, Any], prefix: str, limits: Limits) -> TrpcRequest:
    """Return the parsed request. If it has several errors, the published tRPC server's first one is raised."""
    method: str = scope["method"]
    query: bytes = scope["query_string"]
    if len(scope.get("raw_path") or b"") + len(query) > limits.url_bytes:
        raise TRPCError("PAYLOAD_TOO_LARGE", "The URL is too long: send smaller batches, or methodOverride: 'POST'")
    path = _procedure_path(scope, prefix)
    headers: dict[bytes, bytes] = dict(scope["headers"])
    if method != "GET":
        _refuse_unless_json(headers.get(b"content-type"))
    batch = _first(query, b"batch") == b"1"
    paths = path.split(",") if batch else [path]
    if batch and len(paths) > limits.batch_size:
        problem = "Batch call exceeds maximum size" if limits.batch_size else "Batching is not enabled on the server"
        raise TRPCError("BAD_REQUEST", problem)
    return TrpcRequest(method, paths, _form(headers, batch=batch), _first(query, b"input"))


class EarlyBody:
    """Receives the first part of a request's body before it is needed, because a client may send it and leave.

    uvicorn has this part in memory anyway, and reads the rest only when it is received.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._first: asyncio.Future[Message] | None = asyncio.ensure_future(receive())

    async def receive(self) -> Message:
        """Return the next message of the request."""
        first, self._first = self._first, None
        return await (first or self._receive())

    def close(self) -> None:
        """Stop receiving the first part, if nobody has taken it."""
        if self._first is not None:
            self._first.cancel()


async def read_body(scope: Scope, receive: Receive, limit: int, seconds: float = BODY_SECONDS) -> bytes | None:
    """Return the body, or None if it is longer than `limit` bytes. The rest of a longer body is not read.

    Raises `ClientLeftError` if the client disconnects, and TIMEOUT if the body takes longer than `seconds`.
    """
    if int(dict(scope["headers"]).get(b"content-length", 0)) > limit:
        return None
    try:
        async with asyncio.timeout(seconds):
            return await _read_body(receive, limit)
    except TimeoutError:
        raise TRPCError("TIMEOUT", "The request's body did not arrive in time: send it again") from None


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeftError("The client closed the connection before its request was complete: nothing was done")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            return None
        if not message.get("more_body", False):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _form(headers: Mapping[bytes, bytes], *, batch: bool) -> Form:
    accept = headers.get(b"trpc-accept")
    if accept is None and any(one.strip() == b"application/jsonl" for one in headers.get(b"accept", b"").split(b",")):
        accept = b"application/jsonl"
    if accept == b"application/jsonl":
        if not batch:
            raise TRPCError("BAD_REQUEST", "Streaming requests must be batched (you can do a batch of 1)")
        return Form.JSON_LINES
    if not batch:
        return Form.SINGLE
    return Form.OBJECT_LINES if headers.get(b"trpc-batch-mode") == b"stream" else Form.BATCH


def _procedure_path(scope: Mapping[str, Any], prefix: str) -> str:
    """Return the dotted path, decoded once, without the prefix and slashes at its ends."""
    start = scope.get("root_path", "") + prefix
    raw: bytes = scope.get("raw_path") or b""
    if not raw.startswith(start.encode()):
        # The prefix is percent-encoded: use the path that the server has decoded.
        return str(scope["path"]).removeprefix(start).removeprefix("/").rstrip("/")
    rest = raw[len(start) :].removeprefix(b"/").rstrip(b"/")
    if b"%" not in rest and rest.isascii():
        return rest.decode()
    # The replacement is not UTF-8, so that an invalid escape fails as invalid text does.
    decoded = unquote_to_bytes(_BAD_ESCAPE.sub(b"\xff", rest))
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        shown = rest.decode("latin-1")
        raise TRPCError("BAD_REQUEST", f'Invalid URL-encoding in path "{shown}"') from None


def _refuse_unless_json(content_type: bytes | None) -> None:
    """Raise UNSUPPORTED_MEDIA_TYPE unless it is JSON, which pages of other sites cannot send without a preflight."""
    if content_type is None:
        raise TRPCError("UNSUPPORTED_MEDIA_TYPE", "Missing content-type header")
    if content_type.split(b";", 1)[0].strip().lower() != b"application/json":
        shown = content_type.decode("latin-1")
        raise TRPCError("UNSUPPORTED_MEDIA_TYPE", f'Unsupported content-type "{shown}"')


def _first(query: bytes, name: bytes) -> bytes | None:
    """Return the first value of a query parameter, as JavaScript's URLSearchParams does."""
    for part in query.split(b"&"):
        key, _, value = part.partition(b"=")
        if key == name or (b"%" in key and unquote_to_bytes(key) == name):
            return unquote_to_bytes(value.replace(b"+", b" "))
    return None


def _parsed(text: bytes) -> object:
    """Return parsed JSON. Raises BAD_REQUEST for NaN, Infinity, lone surrogates, deep nesting and invalid UTF-8."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as broken:
        raise TRPCError("BAD_REQUEST", f"Invalid JSON: {broken}") from None


def _batch(text: bytes) -> Mapping[str, object]:
    """Parse the inputs of a batch, a JSON object with the input of each call under the call's index: `{"0": …}`.

    Raises BAD_REQUEST if the text is anything else.
    """
    inputs = _parsed(text)
    if not isinstance(inputs, dict):
        raise TRPCError("BAD_REQUEST", '"input" needs to be an object when doing a batch call')
    return cast("Mapping[str, object]", inputs)
