"""Hooks around each call, and calls whose client has disconnected."""

import asyncio
import http.client
import json
import logging
import threading
from collections import Counter
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Message, Scope

from api.trpc import CallHooks, Concurrency, Limits, Procedure, Role, TRPCError, TrpcServer
from api.trpc.calls import Reply
from api.trpc.procedures import Kind
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline_tests.api.trpc.sample import Caller, Gate, authenticate, returns, sample
from mailchimp_pipeline_tests.api.trpc.wire import is_listening, wire
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

TOKEN: ContextVar[str] = ContextVar("token")


def translate(exception: Exception) -> TRPCError | None:
    """Translate the sample's known error."""
    return TRPCError("BAD_GATEWAY", str(exception)) if isinstance(exception, TransientError) else None


def test_a_failure_of_the_business_is_translated() -> None:
    with wire(hooks=CallHooks(translate=translate)) as served:
        error = served.ask("test.away").error
    assert (error["message"], error["data"]["code"]) == ("The post office is closed: try tomorrow", "BAD_GATEWAY")


def test_every_call_is_measured() -> None:
    seen: list[tuple[str | None, str]] = []
    took: list[float] = []

    def measure(procedure: Procedure | None, code: str, seconds: float) -> None:
        took.append(seconds)
        seen.append((procedure.path if procedure else None, code))

    with wire(hooks=CallHooks(after_call=measure)) as served:
        served.ask("test.nothing,test.page,test.nope?batch=1&input={")
        served.ask("test.nothing", method="POST")
    wanted = [(None, "NOT_FOUND"), (None, "UNSUPPORTED_MEDIA_TYPE"), ("test.nothing", "OK")]
    assert sorted(seen, key=str) == sorted([*wanted, ("test.page", "BAD_REQUEST")], key=str)
    assert 0 < min(took) <= max(took) < TIMEOUT_SECONDS


def test_hooks_that_fail_take_no_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_anything: object) -> None:
        raise RuntimeError("a secret of the hook")

    with wire(hooks=CallHooks(after_call=fail, on_error=fail)) as served, caplog.at_level(logging.ERROR):
        assert served.ask("test.nothing").data is None
        assert served.ask("test.crash").status == 500
    assert "secret" not in caplog.text


def test_without_a_hook_a_defect_is_logged_by_path_and_type_only(caplog: pytest.LogCaptureFixture) -> None:
    with wire(hooks=CallHooks()) as served, caplog.at_level(logging.ERROR):
        served.ask("test.crash")
    assert [record.message for record in caplog.records] == ["The procedure test.crash failed with RuntimeError"]
    assert "secret" not in caplog.text


def test_calls_of_a_batch_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3)

    def meet(_caller: Caller) -> bool:
        return meeting.wait(TIMEOUT_SECONDS) >= 0

    with wire(sample(Procedure("meet", Kind.QUERY, meet, bool, None))) as served:
        answer = served.ask("meet,meet,meet?batch=1")
    assert [one["result"]["data"] for one in answer.json] == [True, True, True]


def test_no_more_calls_run_at_once_than_the_limit_says() -> None:
    running: list[int] = [0]
    most: list[int] = [0]
    lock = threading.Lock()
    both = threading.Barrier(2)

    def count(_caller: Caller) -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        both.wait(TIMEOUT_SECONDS)
        threading.Event().wait(0.01)  # time for a third call to start, if the limit allowed it
        with lock:
            running[0] -= 1

    limits = Limits(concurrency=Concurrency(total=2, per_organisation=9))
    with wire(sample(Procedure("count", Kind.QUERY, count, type(None), None)), limits=limits) as served:
        assert served.ask(",".join(["count"] * 6) + "?batch=1").status == 200
    assert most == [2]


@pytest.mark.parametrize("headers", [{}, {"trpc-accept": "application/jsonl"}])
def test_a_mutation_is_finished_though_its_client_left(headers: dict[str, str]) -> None:
    gate = Gate()
    with wire(sample(gate.procedure)) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        known = {"authorization": "Bearer admin", "content-type": "application/json"}
        connection.request("POST", "/api/trpc/gate?batch=1", headers=known | headers)
        assert gate.entered.wait(TIMEOUT_SECONDS)
        connection.close()
        gate.opened.set()
        assert gate.finished.wait(TIMEOUT_SECONDS)
        assert served.ask("test.nothing").status == 200


def test_closing_waits_for_all_calls_that_were_begun() -> None:
    gate, other = Gate(), Gate()
    other.opened.set()
    calls = sample(gate.procedure, Procedure("other", Kind.MUTATION, other.procedure.handler, type(None), None))
    with wire(calls, limits=Limits(concurrency=Concurrency(total=1, per_organisation=1))) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        known = {"authorization": "Bearer admin", "content-type": "application/json"}
        connection.request("POST", "/api/trpc/gate,other?batch=1", headers=known)
        assert gate.entered.wait(TIMEOUT_SECONDS)
        connection.close()
        opening = gate.open_once(lambda: not is_listening(served.port))
    opening.join()
    assert gate.finished.is_set()
    assert other.finished.is_set()


def test_a_handler_sees_the_context_variables_of_its_request() -> None:
    def token(_caller: Caller) -> str:
        return TOKEN.get()

    server = TrpcServer(sample(Procedure("token", Kind.QUERY, token, str, None)), authenticate)
    TOKEN.set("of this request")
    assert in_loop(server, request("token")) == b'{"result":{"data":"of this request"}}'


def test_more_calls_than_may_wait_are_refused_with_when_to_come_back() -> None:
    gate, limits = Gate(), Limits(concurrency=Concurrency(total=2, per_organisation=1, waiting=2))
    gate.opened.set()
    with wire(sample(gate.procedure), limits=limits) as served:
        answer = served.ask("gate,gate,gate,gate,gate?batch=1", method="POST", body="")
    codes = Counter(one.get("error", {}).get("data", {}).get("code", "OK") for one in answer.json)
    assert codes == {"OK": 3, "TOO_MANY_REQUESTS": 2}
    assert answer.headers["retry-after"] == "5"


def test_a_procedure_of_its_own_limit_is_refused_once_it_has_waited_and_keeps_no_other_call_waiting() -> None:
    gate = Gate(Kind.QUERY)
    costly = Concurrency(total=1, per_organisation=1, wait_seconds=0.05, busy="Another one is running.")
    procedures = sample(replace(gate.procedure, concurrency=costly))
    stream, limits = {"trpc-accept": "application/jsonl"}, Limits(concurrency=Concurrency(total=2, per_organisation=2))
    with (
        wire(procedures, limits=limits) as served,
        served.listening("gate,gate,gate,test.nothing?batch=1", stream) as coming,
    ):
        chunks = [json.loads(next(coming)) for _ in range(4)][1:]
        gate.opened.set()
        chunks += map(json.loads, coming)
    replies = [reply for _, _, [[reply]] in chunks]
    refused = "Another one is running. Try again in 5 seconds."
    assert replies[0] == replies[3] == {"result": {"data": None}}
    assert [one["error"]["message"] for one in replies[1:3]] == [refused] * 2


def test_a_client_that_leaves_before_its_body_was_read_gets_nothing_done() -> None:
    gate = Gate()
    server = TrpcServer(sample(gate.procedure), authenticate)
    scope = request("gate", method="POST")
    scope["headers"].append((b"content-type", b"application/json"))
    assert in_loop(server, scope) == b""
    assert not gate.entered.is_set()


def test_a_web_socket_is_closed() -> None:
    sent: list[Message] = []
    server = TrpcServer(sample(), authenticate)
    in_loop(server, {"type": "websocket"}, sent)
    assert sent == [{"type": "websocket.close", "code": 1000}]


def test_a_server_that_does_not_tell_the_raw_path_will_do() -> None:
    server = TrpcServer(sample(returns(int, 1)), authenticate)
    assert in_loop(server, request("given") | {"raw_path": None}) == b'{"result":{"data":1}}'


def test_a_defect_of_the_server_itself_is_readable() -> None:
    server = TrpcServer(sample(), authenticate)
    body = in_loop(server, request("test.nothing") | {"headers": None})
    assert b'"message":"Internal server error"' in body


def called(path: str, given: object = None, *, role: Role = Role.ADMIN, hooks: CallHooks | None = None) -> Reply:
    """Call a procedure of the sample in this process."""
    server = TrpcServer(sample(), authenticate, hooks=hooks)

    async def call_and_close() -> Reply:
        try:
            return await server.call(Caller(role), path, given)
        finally:
            await server.close()

    return asyncio.run(call_and_close())


def test_a_call_in_this_process_is_answered_as_one_over_http() -> None:
    assert called("test.page", {"limit": 1}).body == b'{"result":{"data":{"items":[0],"nextCursor":null,"counts":{}}}}'
    assert called("test.nothing") == Reply(200, b'{"result":{"data":null}}')
    assert called("test.add", {"amount": 2}).body == b'{"result":{"data":4}}'


@pytest.mark.parametrize(
    ("path", "given", "status", "text"),
    [
        ("test.admin.erase", None, 403, "ask an administrator"),
        ("test.add", {"amount": "many"}, 400, "amount"),
        ("test.add", None, 400, "BAD_REQUEST"),
        ("test.away", None, 502, "The post office is closed"),
        ("test.crash", None, 500, "Internal server error"),
        ("test.exit", None, 500, "Internal server error"),
    ],
)
def test_a_call_in_this_process_fails_as_one_over_http(path: str, given: object, status: int, text: str) -> None:
    reply = called(
        path, given, role=Role.EDITOR, hooks=CallHooks(translate=translate, on_error=lambda _path, _error: None)
    )
    assert reply.status == status
    assert text in reply.body.decode()
    assert "secret" not in reply.body.decode()


def test_a_call_in_this_process_is_measured_and_its_defect_reported() -> None:
    measured: list[tuple[str | None, str]] = []
    defects: list[str] = []
    hooks = CallHooks(
        after_call=lambda procedure, code, _seconds: measured.append((procedure and procedure.path, code)),
        on_error=lambda path, _exception: defects.append(path),
    )
    for path in ("test.nothing", "test.crash"):
        called(path, hooks=hooks)
    assert measured == [("test.nothing", "OK"), ("test.crash", "INTERNAL_SERVER_ERROR")]
    assert defects == ["test.crash"]


def test_an_unknown_procedure_is_a_defect_of_whoever_calls_it_in_this_process() -> None:
    with pytest.raises(KeyError, match=r"test\.nope"):
        called("test.nope")


def test_calls_in_this_process_count_against_the_limits() -> None:
    gate, limits = Gate(), Limits(concurrency=Concurrency(total=2, per_organisation=1, waiting=2))
    server = TrpcServer(sample(gate.procedure), authenticate, limits=limits)

    async def call_at_once() -> list[Reply]:
        calls = [asyncio.create_task(server.call(Caller(Role.ADMIN), "gate")) for _ in range(5)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        gate.opened.set()
        replies = await asyncio.gather(*calls)
        await server.close()
        return replies

    assert Counter(reply.status for reply in asyncio.run(call_at_once())) == {200: 3, 429: 2}


def test_a_call_in_this_process_is_finished_though_nobody_waits_for_it() -> None:
    gate = Gate()
    server = TrpcServer(sample(gate.procedure), authenticate)

    async def leave() -> None:
        call = asyncio.create_task(server.call(Caller(Role.ADMIN), "gate"))
        await asyncio.to_thread(gate.entered.wait, TIMEOUT_SECONDS)
        call.cancel()
        gate.opened.set()
        await server.close()

    asyncio.run(leave())
    assert gate.finished.is_set()


def request(path: str, *, method: str = "GET") -> dict[str, Any]:
    """Return the ASGI scope of a viewer's request."""
    raw = f"/api/trpc/{path}"
    headers = [(b"authorization", b"Bearer viewer")]
    known: dict[str, Any] = {"type": "http", "method": method, "path": raw, "raw_path": raw.encode(), "root_path": ""}
    return known | {"query_string": b"", "headers": headers}


def in_loop(server: TrpcServer[Caller], scope: Scope, sent: list[Message] | None = None) -> bytes:
    """Call the application as a client that disconnects at once, and return the body of the answer."""
    messages: list[Message] = [] if sent is None else sent

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    async def answer_and_close() -> None:
        await server(scope, receive, send)
        await server.close()

    asyncio.run(answer_and_close())
    return b"".join(message.get("body", b"") for message in messages)
