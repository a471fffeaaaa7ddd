"""The ASGI application of the API: authentication, connection limit, latency, faults and routing."""

import asyncio
import base64
import binascii
import json
import time
from asyncio import Transport
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sandbox.model import problems
from sandbox.model.accounts import Account
from sandbox.model.faults import Fault, FaultKind
from sandbox.model.hooks import Callback
from sandbox.model.problems import Problem
from sandbox.model.recorder import CountedCall
from sandbox.model.state import SandboxState
from sandbox.web.answers import problem_response, response
from sandbox.web.endpoints import Answer, Call, Match, Routes
from sandbox.web.failures import failure
from sandbox.web.lists import BATCH, batch_hashes, requested_members
from sandbox.web.projection import project
from sandbox.web.queries import Query

CUT = 0
"""The status under which cut connections are counted."""

_POLL_SECONDS = 0.01
_FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class ReceivedCall:
    """A received request. It has either an account, or the problem that rejects its credentials."""

    method: str
    match: Match
    query: Query
    body: object
    account: Account | None
    problem: Problem | None
    counted: CountedCall
    fault: Fault | None
    contacts: int
    number: int
    """The number of the call in the journal."""


class ApiApplication:
    """The ASGI application under /3.0."""

    def __init__(self, state: SandboxState, routes: Routes) -> None:
        """Route requests to these endpoints."""
        self._state = state
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or cut its connection."""
        request = Request(scope, receive)
        raw, begun = await request.body(), time.monotonic()
        received = self._receive(request, raw)
        try:
            answer = await self._respond(received, begun)
        finally:
            # Release the slot before the answer: a client may send its next call as soon as it has the answer.
            self._release(received)
        received.counted.count_answer(CUT if answer is None else answer.status_code)
        if answer is None:
            await _cut(scope, receive)
        else:
            answer.headers["Date"] = format_datetime(self._state.now(), usegmt=True)
            await answer(scope, receive, send)

    def _receive(self, request: Request, raw: bytes) -> ReceivedCall:
        """Count a request, parse it and select its fault."""
        match = self._routes.match(request.method, request.path_params.get("path", ""))
        body, problem = _parse(raw)
        hashes = batch_hashes(body) if (request.method, match.template) == ("POST", BATCH) else []
        state = self._state
        with state.lock:
            account, credentials_error = self._account(request)
            account_id = None if account is None else account.id
            counted = state.recorder.count_call(account_id, request.method, match.template, state.clock())
            if account is not None:
                account.concurrent_calls += 1
                state.recorder.record_concurrency(account.id, account.concurrent_calls)
                state.recorder.count_received(account.id, match.path_parameters.get("list_id", ""), hashes)
            fault = state.faults.select_for(request.method, match.template)
            list_id, key = (match.path_parameters.get(name) for name in ("list_id", "subscriber_hash"))
            audience = account.audiences.get(list_id or "") if account else None
            members = requested_members(audience, key, body) if state.journal.is_kept else []
            number = state.journal.started(request.method, match.template, list_id, members)
        query = Query(dict(request.query_params))
        error = credentials_error or problem
        return ReceivedCall(request.method, match, query, body, account, error, counted, fault, len(hashes), number)

    def _account(self, request: Request) -> tuple[Account | None, Problem | None]:
        try:
            return self._state.authenticate(key_of(request.headers.get("Authorization"))), None
        except Problem as problem:
            return None, problem

    def _release(self, received: ReceivedCall) -> None:
        if received.account is not None:
            with self._state.lock:
                received.account.concurrent_calls -= 1

    async def _respond(self, received: ReceivedCall, begun: float) -> Response | None:
        """Return the response, or None to cut the connection."""
        behaviours = self._state.behaviours
        if received.account is not None and received.account.concurrent_calls > behaviours.connection_limit:
            return self._throttled()
        answer = await self._process(received) if received.fault is None or received.fault.is_processed else None
        latency = (behaviours.latency_ms + behaviours.latency_per_contact_ms * received.contacts) / 1000
        # The latency includes the sandbox's own work, so many concurrent calls do not take longer than configured.
        await asyncio.sleep(latency - (time.monotonic() - begun))
        if received.fault is None:
            return answer
        await asyncio.sleep(received.fault.delay_seconds)
        if received.fault.kind is FaultKind.HELD:
            await self._wait_for_release(received.fault)
        return failure(received.fault, answer)

    async def _wait_for_release(self, fault: Fault) -> None:
        """Wait until another thread removes the fault from the plan."""
        while True:
            with self._state.lock:
                if not self._state.faults.is_planned(fault):
                    return
            await asyncio.sleep(_POLL_SECONDS)

    def _throttled(self) -> Response:
        behaviours = self._state.behaviours
        retry_after = behaviours.retry_after_seconds
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        problem = problems.too_many_connections(behaviours.connection_limit)
        return problem_response(problem, headers) if behaviours.throttle_with_body else Response(b"", 429, headers)

    async def _process(self, received: ReceivedCall) -> Response:
        with self._state.lock:
            hooks = self._state.hooks.due(
                received.method, received.match.template, received.match.path_parameters.get("list_id")
            )
        before, after = hooks
        await _run_callbacks(before)
        try:
            answered = response(await self._answer(received))
        except Problem as problem:
            answered = problem_response(problem)
        with self._state.lock:
            self._state.journal.ended(received.number, is_processed=answered.status_code < _FIRST_ERROR)
        await _run_callbacks(after)
        return answered

    async def _answer(self, received: ReceivedCall) -> Answer:
        if received.problem is not None or received.account is None:
            raise received.problem or problems.key_invalid()
        received.account.check_usable(received.method)
        endpoint = received.match.endpoint
        if endpoint is None:
            raise (
                problems.method_not_allowed(*received.match.allowed) if received.match.allowed else problems.not_found()
            )
        received.query.check(endpoint.query)
        call = Call(self._state, received.account, received.match.path_parameters, received.query, received.body)
        if endpoint.prepare is not None:
            await endpoint.prepare(call)
        with self._state.lock:
            self._state.journal.current = received.number
            answer = endpoint.answer(call)
        if received.method != "GET":
            return answer
        return Answer(project(answer.body, received.query, endpoint.samples), answer.status)


def key_of(authorization: str | None) -> str | None:
    """Return the API key in an Authorization header: the password of Basic, or the token of Bearer."""
    scheme, _, credentials = (authorization or "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(credentials, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return decoded.partition(":")[2] or None


def _parse(raw: bytes) -> tuple[object, Problem | None]:
    if not raw:
        return {}, None
    try:
        body: object = json.loads(raw)
    except ValueError:
        return {}, problems.unreadable_json()
    return body, None if isinstance(body, Mapping) else problems.invalid("Schema describes object, another found.")


async def _run_callbacks(callbacks: Sequence[Callback]) -> None:
    """Run callbacks in threads: a callback may call the API and wait for the answer."""
    for callback in callbacks:
        await asyncio.to_thread(callback)


async def _cut(scope: Scope, receive: Receive) -> None:
    """Close the connection without sending a byte. `server.Protocol` provides the transport."""
    cast("Transport", scope["state"]["transport"]).abort()
    while (await receive())["type"] != "http.disconnect":
        pass
