"""The ASGI application that answers everything under the tRPC prefix, always in tRPC's own form.

It reads a request, authenticates the caller, runs the calls in threads at the same time, and answers with one object,
an array, or a stream of the replies in order of completion.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from contextvars import copy_context
from functools import partial
from time import perf_counter
from typing import Generic, NoReturn, TypeVar

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from api.trpc.calls import CallHooks, Headers, ProcedureCall, Reply, answer, as_error, refusal
from api.trpc.concurrency import ConcurrencyLimit
from api.trpc.error_codes import TRPCError
from api.trpc.procedures import Identified, Kind, Procedure, Procedures
from api.trpc.requests import ClientLeftError, EarlyBody, Form, Inputs, Limits, TrpcRequest, read_body, read_request

Arrivals = asyncio.Queue[tuple[int, Reply]]
"""The replies of one request with the indices of their calls, in order of completion."""

# Answers contain personal data, and a shared cache does not distinguish callers.
_UNCACHED = (b"cache-control", b"no-store")

_COMMON: Headers = ((b"content-type", b"application/json"), (b"vary", b"trpc-accept, accept"), _UNCACHED)


async def respond(send: Send, reply: Reply) -> None:
    """Send one complete answer."""
    headers = [*_COMMON, (b"content-length", b"%d" % len(reply.body)), *reply.headers]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def respond_without_content(send: Send) -> None:
    """Answer a HEAD request with status 204 and no body."""
    await send({"type": "http.response.start", "status": 204, "headers": [_UNCACHED]})
    await send({"type": "http.response.body", "body": b""})


async def compose(send: Send, form: Form, count: int, arrivals: Arrivals) -> None:
    """Send the replies to all calls of a request in the form that the client asked for."""
    if form is Form.SINGLE:
        await respond(send, (await arrivals.get())[1])
    elif form is Form.BATCH:
        by_index = dict([await arrivals.get() for _ in range(count)])
        await respond(send, _array([by_index[index] for index in range(count)]))
    else:
        await _stream(send, _json_lines(count, arrivals) if form is Form.JSON_LINES else _object(count, arrivals))


def _array(replies: Sequence[Reply]) -> Reply:
    """Return the replies of a batch as one reply with an array.

    Its status is that of all calls, or 207 if they differ. It has the headers of all replies.
    """
    statuses = {reply.status for reply in replies}
    headers = dict(header for reply in replies for header in reply.headers)
    body = b"[" + b",".join([reply.body for reply in replies]) + b"]"
    return Reply(statuses.pop() if len(statuses) == 1 else 207, body, tuple(headers.items()))


async def _stream(send: Send, lines: AsyncIterator[bytes]) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": list(_COMMON)})
    async for line in lines:
        await send({"type": "http.response.body", "body": line, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _json_lines(count: int, arrivals: Arrivals) -> AsyncIterator[bytes]:
    """Yield the stream for tRPC client 11: a line that announces a chunk for each call, then a line for each reply."""
    yield b"{" + b",".join([b'"%d":[[0],[null,0,%d]]' % (index, index) for index in range(count)]) + b"}\n"
    for _ in range(count):
        index, reply = await arrivals.get()
        yield b"[%d,0,[[%b]]]\n" % (index, reply.body)


async def _object(count: int, arrivals: Arrivals) -> AsyncIterator[bytes]:
    """Yield a batch's replies as version 10 of the tRPC client reads them: a JSON object with a reply in each line.

    A reply is sent as soon as it arrives, so each line but the first begins with the comma after the previous reply.
    """
    for position in range(count):
        index, reply = await arrivals.get()
        yield b'%b"%d":%b\n' % (b"," if position else b"{", index, reply.body)
    yield b"}"


ContextT = TypeVar("ContextT", bound=Identified)
ResultT = TypeVar("ResultT")

_AUTHENTICATION_THREADS = 8
"""The number of threads that only authenticate. They may wait for the identity provider, but never for a call."""

_METHODS = {Kind.QUERY: ("GET", "POST"), Kind.MUTATION: ("POST",)}
"""Queries may also be sent by POST (the client's `methodOverride`): access logs contain the inputs in URLs."""


class TrpcServer(Generic[ContextT]):
    """Serves procedures under a URL prefix.

    `make_context` authenticates the caller. It runs once per request, in a thread, before the body is read. If it
    raises a TRPCError, that is the reply to every call. A call that was begun is finished, whether or not the client
    waits for it.
    """

    def __init__(
        self,
        procedures: Procedures[ContextT],
        make_context: Callable[[HTTPConnection], ContextT],
        *,
        prefix: str = "/api/trpc",
        limits: Limits | None = None,
        hooks: CallHooks | None = None,
    ) -> None:
        self.prefix = prefix.rstrip("/")
        self._procedures = procedures
        self._make_context = make_context
        self._limits = limits or Limits()
        self._hooks = hooks or CallHooks()
        self._limit = ConcurrencyLimit(self._limits.concurrency)
        self._own_limits = {
            procedure.path: ConcurrencyLimit(procedure.concurrency) for procedure in procedures if procedure.concurrency
        }
        # Not anyio's threads: handing work to them takes twice as long.
        self._authentication = ThreadPoolExecutor(_AUTHENTICATION_THREADS, thread_name_prefix="authentication")
        self._threads = ThreadPoolExecutor(self._limits.concurrency.total, thread_name_prefix="trpc")
        self._running = set[asyncio.Task[None]]()

    @property
    def route(self) -> "PrefixRoute":
        """The route for all paths under the prefix. Add it to the `router.routes` of an application."""
        return PrefixRoute(self.prefix, self)

    async def close(self) -> None:
        """Wait for the calls that have begun, also for those of clients that have left."""
        while self._running:
            await asyncio.wait(self._running)
        self._authentication.shutdown(wait=False)
        self._threads.shutdown(wait=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
        elif scope["method"] == "HEAD":
            await respond_without_content(send)
        else:
            await self._answer(scope, receive, send, perf_counter())

    async def _answer(self, scope: Scope, receive: Receive, send: Send, started: float) -> None:
        try:
            request = read_request(scope, self.prefix, self._limits)
            found = [self._procedures.get(path) for path in request.paths]
            _refuse_mixture(found)
            arrivals = await self._start(scope, receive, request, found, started)
        except ClientLeftError:
            return
        except Exception as exception:  # noqa: BLE001 - clients cannot read the framework's own answer
            error = as_error(scope["path"], exception, self._hooks)
            await respond(send, refusal(None, error, None, started, self._hooks))
        else:
            await compose(send, request.form, len(request.paths), arrivals)

    async def _start(
        self, scope: Scope, receive: Receive, request: TrpcRequest, found: Sequence[Procedure | None], started: float
    ) -> Arrivals:
        """Refuse the calls that cannot run, and start the others. Return the queue in which the replies arrive.

        Raises `ClientLeftError` if the client leaves before its request is complete.
        """
        arrivals = Arrivals()
        callable_now: list[tuple[int, Procedure]] = []
        for index, (path, procedure) in enumerate(zip(request.paths, found, strict=True)):
            if procedure is None:
                error = TRPCError("NOT_FOUND", f'No procedure found on path "{path}"')
                arrivals.put_nowait((index, refusal(path, error, None, started, self._hooks)))
            elif request.method not in _METHODS[procedure.kind]:
                arrivals.put_nowait((index, self._wrong_method(request.method, procedure, started)))
            else:
                callable_now.append((index, procedure))
        if not callable_now:
            return arrivals
        early = None if request.method == "GET" else EarlyBody(receive)
        try:
            context = await _in_thread(self._authentication, self._authenticate, scope, request)
            if isinstance(context, TRPCError):
                for index, procedure in callable_now:
                    arrivals.put_nowait((index, refusal(procedure.path, context, procedure, started, self._hooks)))
                return arrivals
            limits = self._limits
            body = early and await read_body(scope, early.receive, limits.body_bytes, limits.body_seconds)
        finally:
            if early:
                early.close()
        inputs = Inputs(request, body)
        for index, procedure in callable_now:
            call = ProcedureCall(index, procedure, context, partial(inputs.text, index), started)
            self._begin(self._run(call, arrivals))
        return arrivals

    async def call(self, context: ContextT, path: str, given: object = None) -> Reply:
        """Call a procedure in this process, with the limits and hooks of a request.

        `given` is the input as parsed JSON. Raises `KeyError` if there is no procedure with this path.
        """
        procedure = self._procedures.get(path)
        if procedure is None:
            raise KeyError(path)
        arrivals, text = Arrivals(), json.dumps(given).encode()
        self._begin(self._run(ProcedureCall(0, procedure, context, lambda: text, perf_counter()), arrivals))
        return (await arrivals.get())[1]

    def _wrong_method(self, method: str, procedure: Procedure, started: float) -> Reply:
        text = f'Unsupported {method}-request to {procedure.kind} procedure at path "{procedure.path}"'
        error = TRPCError("METHOD_NOT_SUPPORTED", text)
        reply = refusal(procedure.path, error, procedure, started, self._hooks)
        return Reply(reply.status, reply.body, ((b"allow", ", ".join(_METHODS[procedure.kind]).encode()),))

    def _authenticate(self, scope: Scope, request: TrpcRequest) -> ContextT | TRPCError:
        try:
            return self._make_context(HTTPConnection(scope))
        except BaseException as exception:  # noqa: BLE001 - `SystemExit` would otherwise end the event loop
            return as_error(",".join(request.paths), exception, self._hooks)

    def _begin(self, running: Coroutine[None, None, None]) -> None:
        """Run a call in a task of its own. If the client leaves, only the request's task is cancelled, not the call."""
        task = asyncio.create_task(running)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, call: ProcedureCall[ContextT], arrivals: Arrivals) -> None:
        own = self._own_limits.get(call.procedure.path)
        try:
            async with AsyncExitStack() as held:
                # In this order: a call that waits for its procedure's own limit holds no other place.
                for limit in (own, self._limit) if own else (self._limit,):
                    await held.enter_async_context(limit.place(call.context.organisation_id))
                reply = await _in_thread(self._threads, answer, call, self._hooks)
        except TRPCError as busy:
            reply = refusal(call.procedure.path, busy, call.procedure, call.started, self._hooks)
        arrivals.put_nowait((call.index, reply))


async def _in_thread(threads: ThreadPoolExecutor, work: Callable[..., ResultT], *arguments: object) -> ResultT:
    """Run work in a thread with the context variables of the request, so that its log lines have the request's id."""
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, lambda: context.run(work, *arguments))


class PrefixRoute(BaseRoute):
    """Matches a URL prefix and all paths below it, with any method. Paths with newlines match, too."""

    def __init__(self, prefix: str, app: ASGIApp) -> None:
        self.path = prefix
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return a full match if the request's path is under the prefix, else none."""
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        inside = path == self.path or path.startswith(self.path + "/")
        return (Match.FULL if inside else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: object) -> NoReturn:
        """Raise `NoMatchFound`: the server builds no URLs of procedures."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application."""
        await self._app(scope, receive, send)


def _refuse_mixture(found: Sequence[Procedure | None]) -> None:
    """Raise BAD_REQUEST if a batch mixes queries and mutations: one of the two has the wrong HTTP method."""
    kinds = dict.fromkeys(procedure.kind for procedure in found if procedure is not None)
    if len(kinds) > 1:
        raise TRPCError("BAD_REQUEST", f"Cannot mix procedure types in call: {', '.join(kinds)}")
