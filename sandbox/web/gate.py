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
from sandbox.model.hooks import Act
from sandbox.model.problems import Problem
from sandbox.model.recorder import Asked
from sandbox.model.world import World
from sandbox.web.answers import problem_response, response
from sandbox.web.endpoints import Answer, Call, Match, Routes
from sandbox.web.failures import failure
from sandbox.web.lists import BATCH, asked_members, batch_hashes
from sandbox.web.projection import project
from sandbox.web.queries import Query

CUT = 0
"""The status under which cut connections are counted."""

_LOOK_SECONDS = 0.01
_BAD = 400


@dataclass(frozen=True, slots=True)
class Visit:
    """A received request. It has either an account, or the problem that rejects its credentials."""

    method: str
    match: Match
    query: Query
    body: object
    account: Account | None
    problem: Problem | None
    asked: Asked
    fault: Fault | None
    contacts: int
    number: int
    """The number of the call in the journal."""


class Gate:
    """The ASGI application under /3.0."""

    def __init__(self, world: World, routes: Routes) -> None:
        """Route requests to these endpoints."""
        self._world = world
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or cut its connection."""
        request = Request(scope, receive)
        raw, begun = await request.body(), time.monotonic()
        visit = self._arrive(request, raw)
        try:
            answer = await self._pass(visit, begun)
        finally:
            # Release the slot before the answer: a client may send its next call as soon as it has the answer.
            self._leave(visit)
        visit.asked.answered(CUT if answer is None else answer.status_code)
        if answer is None:
            await _cut(scope, receive)
        else:
            answer.headers["Date"] = format_datetime(self._world.now(), usegmt=True)
            await answer(scope, receive, send)

    def _arrive(self, request: Request, raw: bytes) -> Visit:
        """Count a request, parse it and select its fault."""
        match = self._routes.match(request.method, request.path_params.get("path", ""))
        body, problem = _parse(raw)
        hashes = batch_hashes(body) if (request.method, match.template) == ("POST", BATCH) else []
        world = self._world
        with world.lock:
            account, refusal = self._account(request)
            account_id = None if account is None else account.id
            asked = world.recorder.asked(account_id, request.method, match.template, world.clock())
            if account is not None:
                account.under_way += 1
                world.recorder.under_way(account.id, account.under_way)
                world.recorder.received(account.id, match.places.get("list_id", ""), hashes)
            fault = world.faults.strike(request.method, match.template)
            list_id, key = (match.places.get(name) for name in ("list_id", "subscriber_hash"))
            audience = account.audiences.get(list_id or "") if account else None
            asked_of = asked_members(audience, key, body) if world.journal.is_kept else []
            number = world.journal.came(request.method, match.template, list_id, asked_of)
        query = Query(dict(request.query_params))
        refused = refusal or problem
        return Visit(request.method, match, query, body, account, refused, asked, fault, len(hashes), number)

    def _account(self, request: Request) -> tuple[Account | None, Problem | None]:
        try:
            return self._world.authenticate(key_of(request.headers.get("Authorization"))), None
        except Problem as problem:
            return None, problem

    def _leave(self, visit: Visit) -> None:
        if visit.account is not None:
            with self._world.lock:
                visit.account.under_way -= 1

    async def _pass(self, visit: Visit, begun: float) -> Response | None:
        """Return the response, or None to cut the connection."""
        behaviours = self._world.behaviours
        if visit.account is not None and visit.account.under_way > behaviours.connection_limit:
            return self._throttled()
        answer = await self._carry_out(visit) if visit.fault is None or visit.fault.carries_out else None
        latency = (behaviours.latency_ms + behaviours.latency_per_contact_ms * visit.contacts) / 1000
        # The latency includes the sandbox's own work, so many concurrent calls do not take longer than configured.
        await asyncio.sleep(latency - (time.monotonic() - begun))
        if visit.fault is None:
            return answer
        await asyncio.sleep(visit.fault.delay_seconds)
        if visit.fault.kind is FaultKind.HELD:
            await self._hold(visit.fault)
        return failure(visit.fault, answer)

    async def _hold(self, fault: Fault) -> None:
        """Wait until another thread removes the fault from the plan."""
        while True:
            with self._world.lock:
                if not self._world.faults.is_planned(fault):
                    return
            await asyncio.sleep(_LOOK_SECONDS)

    def _throttled(self) -> Response:
        behaviours = self._world.behaviours
        retry_after = behaviours.retry_after_seconds
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        problem = problems.too_many_connections(behaviours.connection_limit)
        return problem_response(problem, headers) if behaviours.throttle_with_body else Response(b"", 429, headers)

    async def _carry_out(self, visit: Visit) -> Response:
        with self._world.lock:
            hooks = self._world.hooks.due(visit.method, visit.match.template, visit.match.places.get("list_id"))
        before, after = hooks
        await _all(before)
        try:
            answered = response(await self._answer(visit))
        except Problem as problem:
            answered = problem_response(problem)
        with self._world.lock:
            self._world.journal.ended(visit.number, is_carried_out=answered.status_code < _BAD)
        await _all(after)
        return answered

    async def _answer(self, visit: Visit) -> Answer:
        if visit.problem is not None or visit.account is None:
            raise visit.problem or problems.key_invalid()
        visit.account.check_usable(visit.method)
        endpoint = visit.match.endpoint
        if endpoint is None:
            raise problems.method_not_allowed(*visit.match.allowed) if visit.match.allowed else problems.not_found()
        visit.query.check(endpoint.takes)
        call = Call(self._world, visit.account, visit.match.places, visit.query, visit.body)
        if endpoint.prepare is not None:
            await endpoint.prepare(call)
        with self._world.lock:
            self._world.journal.current = visit.number
            answer = endpoint.answer(call)
        if visit.method != "GET":
            return answer
        return Answer(project(answer.body, visit.query, endpoint.lists), answer.status)


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


async def _all(acts: Sequence[Act]) -> None:
    """Run callbacks in threads: a callback may call the API and wait for the answer."""
    for act in acts:
        await asyncio.to_thread(act)


async def _cut(scope: Scope, receive: Receive) -> None:
    """Close the connection without sending a byte. `server.Protocol` provides the transport."""
    cast("Transport", scope["state"]["transport"]).abort()
    while (await receive())["type"] != "http.disconnect":
        pass
