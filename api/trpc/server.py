"""The ASGI application that answers everything under the tRPC prefix, always in tRPC's own form.

Reads the request, has its calls run in threads at once, and answers. Mount it by `TrpcServer.route`.
What does not belong here: CORS and authentication (a middleware's and `make_context`'s), what a procedure does.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import Generic, NoReturn, TypeVar

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from api.trpc.answers import Arrivals, compose, respond, respond_without_content
from api.trpc.calls import Call, Hooks, Reply, answer, as_error, refusal
from api.trpc.errors import TRPCError
from api.trpc.lanes import Lanes
from api.trpc.procedures import HasRole, Kind, Procedure, Procedures
from api.trpc.requests import ClientLeftError, Inputs, Limits, Question, read_body, read_question

ContextT = TypeVar("ContextT", bound=HasRole)

Deliver = Callable[[int, Reply], None]

_PAUSE = 5
"""After so many seconds whoever had too many calls waiting may try again."""

_METHODS = {Kind.QUERY: ("GET", "POST"), Kind.MUTATION: ("POST",)}
"""POST queries too (the client's `methodOverride`): an input in the URL stands in access logs."""


class TrpcServer(Generic[ContextT]):
    """Serves procedures under a prefix.

    `make_context` says who calls; it runs once a request, in a thread, and may raise a TRPCError, which then is
    the answer to every call. Calls that were begun are finished, whether or not the client waits for them.
    """

    def __init__(
        self,
        procedures: Procedures[ContextT],
        make_context: Callable[[HTTPConnection], ContextT],
        *,
        prefix: str = "/api/trpc",
        limits: Limits | None = None,
        hooks: Hooks[ContextT] | None = None,
    ) -> None:
        self.prefix = prefix.rstrip("/")
        self._procedures = procedures
        self._make_context = make_context
        self._limits = limits or Limits()
        self._hooks = hooks or Hooks[ContextT]()
        self._lanes = Lanes(
            threads=self._limits.threads, share=self._limits.lane_threads, waiting=self._limits.lane_waiting
        )

    @property
    def route(self) -> "PrefixRoute":
        """The route that hands over all that is under the prefix; put it into an application's `router.routes`."""
        return PrefixRoute(self.prefix, self)

    def close(self) -> None:
        """Take no more, and wait for the calls under way, also those whose clients have gone."""
        self._lanes.close()

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
            question = read_question(scope, self.prefix, self._limits)
            found = [self._procedures.get(path) for path in question.paths]
            _refuse_mixture(found)
            body = None if question.method == "GET" else await read_body(receive, self._limits.body_bytes)
            arrivals = self._start(scope, question, found, Inputs(question, body), started)
        except ClientLeftError:
            return
        except Exception as exception:  # noqa: BLE001 - the clients could not read the framework's own answer
            error = as_error(scope["path"], exception, self._hooks)
            await respond(send, refusal(None, error, None, started, self._hooks))
        else:
            await compose(send, question.form, len(question.paths), arrivals)

    def _start(
        self,
        scope: Scope,
        question: Question,
        found: Sequence[Procedure | None],
        inputs: Inputs,
        started: float,
    ) -> Arrivals:
        """Refuse the calls that cannot run and set the others going."""
        arrivals = Arrivals()
        calls: list[Call[ContextT]] = []
        for index, (path, procedure) in enumerate(zip(question.paths, found, strict=True)):
            if procedure is None:
                error = TRPCError("NOT_FOUND", f'No procedure found on path "{path}"')
                arrivals.put_nowait((index, refusal(path, error, None, started, self._hooks)))
            elif question.method not in _METHODS[procedure.kind]:
                arrivals.put_nowait((index, self._wrong_method(question.method, procedure, started)))
            else:
                calls.append(Call(index, path, procedure, inputs, started))
        if calls:
            deliver = partial(_deliver, asyncio.get_running_loop(), arrivals)
            self._lanes.begin(partial(self._run, HTTPConnection(scope), calls, deliver))
        return arrivals

    def _wrong_method(self, method: str, procedure: Procedure, started: float) -> Reply:
        text = f'Unsupported {method}-request to {procedure.kind} procedure at path "{procedure.path}"'
        error = TRPCError("METHOD_NOT_SUPPORTED", text)
        reply = refusal(procedure.path, error, procedure, started, self._hooks)
        return Reply(reply.status, reply.body, ((b"allow", ", ".join(_METHODS[procedure.kind]).encode()),))

    def _run(self, connection: HTTPConnection, calls: Sequence[Call[ContextT]], deliver: Deliver) -> None:
        """Make the context, and run the calls in their lane as far as it takes more."""
        hooks = self._hooks
        try:
            context = self._make_context(connection)
            lane = hooks.lane_of(context)
        except BaseException as exception:  # noqa: BLE001 - SystemExit too: in a thread nobody would see it
            error = as_error(",".join(call.path for call in calls), exception, hooks)
            for call in calls:
                deliver(call.index, refusal(call.path, error, call.procedure, call.started, hooks))
            return
        room = self._lanes.room(lane)
        for call in calls[room:]:
            error = TRPCError("TOO_MANY_REQUESTS", "Too many calls are waiting: try again later", retry_after=_PAUSE)
            deliver(call.index, refusal(call.path, error, call.procedure, call.started, hooks))
        self._lanes.run(lane, [partial(self._run_one, call, context, deliver) for call in calls[:room]])

    def _run_one(self, call: Call[ContextT], context: ContextT, deliver: Deliver) -> None:
        deliver(call.index, answer(call, context, self._hooks))


class PrefixRoute(BaseRoute):
    """Matches the prefix and all below it, whatever the method; also paths no pattern takes, such as with newlines."""

    def __init__(self, prefix: str, app: ASGIApp) -> None:
        self.path = prefix
        self._app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether the request is for the prefix."""
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        inside = path == self.path or path.startswith(self.path + "/")
        return (Match.FULL if inside else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: object) -> NoReturn:
        """Name no URL: the clients make theirs."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request over."""
        await self._app(scope, receive, send)


def _refuse_mixture(found: Sequence[Procedure | None]) -> None:
    """Raise where a batch has queries and mutations: one of the two kinds came by the wrong method."""
    kinds = dict.fromkeys(procedure.kind for procedure in found if procedure is not None)
    if len(kinds) > 1:
        raise TRPCError("BAD_REQUEST", f"Cannot mix procedure types in call: {', '.join(kinds)}")


def _deliver(loop: asyncio.AbstractEventLoop, arrivals: Arrivals, index: int, reply: Reply) -> None:
    # A closed loop means that nobody waits any more: the call's work is done all the same.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(arrivals.put_nowait, (index, reply))
