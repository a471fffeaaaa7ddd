"""What an application adds around each call, and what becomes of calls that nobody waits for."""

import asyncio
import http.client
import logging
import threading
from contextvars import ContextVar
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Message, Scope

from api.trpc import Hooks, Limits, Procedure, TRPCError, TrpcServer
from api.trpc.procedures import Kind
from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline_tests.api.trpc.sample import Caller, Gate, authenticate, returns, sample
from mailchimp_pipeline_tests.api.trpc.wire import listens, wire
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS, eventually

TOKEN: ContextVar[str] = ContextVar("token")


def translate(exception: Exception) -> TRPCError | None:
    """Know the one failure of the sample's business."""
    return TRPCError("BAD_GATEWAY", str(exception)) if isinstance(exception, TransientError) else None


def test_a_failure_of_the_business_is_translated() -> None:
    with wire(hooks=Hooks(translate=translate)) as served:
        error = served.ask("test.away").error
    assert (error["message"], error["data"]["code"]) == ("The post office is closed: try tomorrow", "BAD_GATEWAY")


def test_every_call_of_a_batch_passes_the_hook_before_it() -> None:
    seen: list[str] = []

    def refuse_pages(caller: Caller, procedure: Procedure) -> None:
        seen.append(f"{caller.role} {procedure.path}")
        if procedure.path == "test.page":
            raise TRPCError("TOO_MANY_REQUESTS", "Later", retry_after=3)

    with wire(hooks=Hooks(before_call=refuse_pages)) as served:
        answer = served.ask("test.nothing,test.page?batch=1")
    assert sorted(seen) == ["admin test.nothing", "admin test.page"]
    assert answer.json[1]["error"]["data"]["code"] == "TOO_MANY_REQUESTS"


def test_the_hook_before_a_call_runs_after_authorisation() -> None:
    seen: list[str] = []
    with wire(hooks=Hooks(before_call=lambda _, procedure: seen.append(procedure.path))) as served:
        assert served.mutate("test.admin.erase", None, role="viewer").status == 403
    assert seen == []


def test_every_call_is_measured() -> None:
    seen: list[tuple[str | None, str]] = []
    took: list[float] = []

    def measure(procedure: Procedure | None, code: str, seconds: float) -> None:
        took.append(seconds)
        seen.append((procedure.path if procedure else None, code))

    with wire(hooks=Hooks(after_call=measure)) as served:
        served.ask("test.nothing,test.page,test.nope?batch=1&input={")
        served.ask("test.nothing", method="POST")
    wanted = [(None, "NOT_FOUND"), (None, "UNSUPPORTED_MEDIA_TYPE"), ("test.nothing", "OK")]
    assert sorted(seen, key=str) == sorted([*wanted, ("test.page", "BAD_REQUEST")], key=str)
    assert 0 < min(took) <= max(took) < PATIENCE_SECONDS


def test_hooks_that_fail_take_no_answer_away(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_anything: object) -> None:
        raise RuntimeError("a secret of the hook")

    with wire(hooks=Hooks(after_call=fail, on_error=fail)) as served, caplog.at_level(logging.ERROR):
        assert served.ask("test.nothing").data is None
        assert served.ask("test.crash").status == 500
    assert "secret" not in caplog.text


def test_without_a_hook_a_defect_is_logged_by_path_and_type_only(caplog: pytest.LogCaptureFixture) -> None:
    with wire(hooks=Hooks()) as served, caplog.at_level(logging.ERROR):
        served.ask("test.crash")
    assert [record.message for record in caplog.records] == ["The procedure test.crash failed with RuntimeError"]
    assert "secret" not in caplog.text


def test_calls_of_a_batch_run_at_the_same_time() -> None:
    meeting = threading.Barrier(3)

    def meet(_caller: Caller) -> bool:
        return meeting.wait(PATIENCE_SECONDS) >= 0

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
        both.wait(PATIENCE_SECONDS)
        threading.Event().wait(0.01)  # for a third to come, if it is let
        with lock:
            running[0] -= 1

    with wire(sample(Procedure("count", Kind.QUERY, count, type(None), None)), limits=Limits(threads=2)) as served:
        assert served.ask(",".join(["count"] * 6) + "?batch=1").status == 200
    assert most == [2]


@pytest.mark.parametrize("headers", [{}, {"trpc-accept": "application/jsonl"}])
def test_a_mutation_is_finished_though_its_client_left(headers: dict[str, str]) -> None:
    gate = Gate()
    with wire(sample(gate.procedure)) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        known = {"authorization": "Bearer admin", "content-type": "application/json"}
        connection.request("POST", "/api/trpc/gate?batch=1", headers=known | headers)
        assert gate.entered.wait(PATIENCE_SECONDS)
        connection.close()
        gate.opened.set()
        assert gate.finished.wait(PATIENCE_SECONDS)
        assert served.ask("test.nothing").status == 200


def test_closing_waits_for_all_calls_that_were_begun() -> None:
    gate, other = Gate(), Gate()
    other.opened.set()
    calls = sample(gate.procedure, Procedure("other", Kind.MUTATION, other.procedure.handler, type(None), None))
    with wire(calls, limits=Limits(threads=1)) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        known = {"authorization": "Bearer admin", "content-type": "application/json"}
        connection.request("POST", "/api/trpc/gate,other?batch=1", headers=known)
        assert gate.entered.wait(PATIENCE_SECONDS)
        connection.close()
        opening = gate.open_once(lambda: not listens(served.port))
    opening.join()
    assert gate.finished.is_set()
    assert other.finished.is_set()


def test_a_batch_whose_server_is_closing_is_finished_all_the_same() -> None:
    def takes_no_more() -> bool:
        try:
            server._lanes.begin(lambda: None)  # pyright: ignore[reportPrivateUsage] - from outside it cannot be seen
        except RuntimeError:
            return True
        return False

    def close_and_authenticate(connection: HTTPConnection) -> Caller:
        threading.Thread(target=server.close).start()
        eventually(takes_no_more)
        return authenticate(connection)

    server = TrpcServer(sample(returns(int, 1)), close_and_authenticate)
    body = in_loop(server, request("given,given") | {"query_string": b"batch=1"})
    assert body == b'[{"result":{"data":1}},{"result":{"data":1}}]'


def test_a_handler_sees_the_context_variables_of_its_request() -> None:
    def token(_caller: Caller) -> str:
        return TOKEN.get()

    server = TrpcServer(sample(Procedure("token", Kind.QUERY, token, str, None)), authenticate)
    TOKEN.set("of this request")
    assert in_loop(server, request("token")) == b'{"result":{"data":"of this request"}}'


def test_a_client_that_leaves_before_its_body_was_read_gets_nothing_done() -> None:
    gate = Gate()
    server = TrpcServer(sample(gate.procedure), authenticate)
    scope = request("gate", method="POST") | {"headers": [(b"content-type", b"application/json")]}
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


def request(path: str, *, method: str = "GET") -> dict[str, Any]:
    """Return the scope of a request by a viewer."""
    raw = f"/api/trpc/{path}"
    headers = [(b"authorization", b"Bearer viewer")]
    known: dict[str, Any] = {"type": "http", "method": method, "path": raw, "raw_path": raw.encode(), "root_path": ""}
    return known | {"query_string": b"", "headers": headers}


def in_loop(server: TrpcServer[Caller], scope: Scope, sent: list[Message] | None = None) -> bytes:
    """Call the application without HTTP, as a client that leaves at once, and return the body it sent."""
    messages: list[Message] = [] if sent is None else sent

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(server(scope, receive, send))
    server.close()
    return b"".join(message.get("body", b"") for message in messages)
