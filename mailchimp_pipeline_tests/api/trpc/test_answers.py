"""Answers: envelopes, statuses, headers and streams."""

import json
from collections.abc import Iterator
from typing import Any, get_args
from urllib.parse import quote

import pytest

from api.trpc import CODES, Code
from api.trpc.procedures import Kind
from mailchimp_pipeline_tests.api.trpc.sample import Gate, sample
from mailchimp_pipeline_tests.api.trpc.wire import Wire, wire

STREAM = {"trpc-accept": "application/jsonl"}


def batch(paths: str, *inputs: object) -> str:
    """Return the target of a batch of queries."""
    return f"{paths}?batch=1&input={quote(json.dumps(dict(enumerate(inputs))))}"


def lines(body: bytes) -> list[Any]:
    """Return the values in a stream of JSON lines."""
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.splitlines()]


def test_null_is_an_output(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.nothing").json == {"result": {"data": None}}


def test_an_output_is_camel_case_with_times_in_utc(sample_wire: Wire) -> None:
    sent = {"someText": "ü\u2028", "times": 2, "colours": ["dark-blue"], "weight": 0.5}
    assert sample_wire.query("test.echo", sent).data == sent | {"at": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize("code", get_args(Code))
def test_every_code_has_its_numbers(sample_wire: Wire, code: Code) -> None:
    answer = sample_wire.query("test.fail", {"code": code})
    data = {"code": code, "httpStatus": CODES[code].http, "path": "test.fail"}
    assert answer.error == {"message": f"failed with {code}", "code": CODES[code].rpc, "data": data}
    assert answer.status == CODES[code].http


@pytest.mark.parametrize(
    ("codes", "status"),
    [(["CONFLICT", "CONFLICT"], 409), (["CONFLICT", "NOT_FOUND"], 207), (["BAD_REQUEST", "PARSE_ERROR"], 400)],
)
def test_a_batch_has_the_status_its_calls_share(sample_wire: Wire, codes: list[str], status: int) -> None:
    answer = sample_wire.ask(batch("test.fail,test.fail", *({"code": code} for code in codes)))
    assert answer.status == status
    assert [one["error"]["data"]["code"] for one in answer.json] == codes


def test_a_batch_that_half_fails_is_a_207(sample_wire: Wire) -> None:
    answer = sample_wire.ask("test.nothing,test.nope?batch=1")
    assert (answer.status, ["result" in one for one in answer.json]) == (207, [True, False])


@pytest.mark.parametrize("target", ["test.nothing", "test.nope", "test.nothing?batch=1"])
def test_no_cache_keeps_an_answer(sample_wire: Wire, target: str) -> None:
    headers = sample_wire.ask(target).headers
    assert headers["content-type"] == "application/json"
    assert (headers["cache-control"], headers["vary"]) == ("no-store", "trpc-accept, accept")


def test_a_caller_that_must_wait_is_told_how_long(sample_wire: Wire) -> None:
    assert sample_wire.ask("test.limited").headers["retry-after"] == "7"
    assert sample_wire.ask("test.nothing,test.limited?batch=1").headers["retry-after"] == "7"


def test_too_small_a_role_is_forbidden(sample_wire: Wire) -> None:
    answer = sample_wire.mutate("test.admin.erase", None, role="editor")
    wanted = 'test.admin.erase needs the role "admin", yours is "editor": ask an administrator of your organisation'
    assert answer.error["message"] == wanted
    assert answer.error["data"] == {"code": "FORBIDDEN", "httpStatus": 403, "path": "test.admin.erase"}


def test_anonymous_callers_fail_every_call_with_its_path(sample_wire: Wire) -> None:
    answer = sample_wire.ask("test.nothing,test.page?batch=1", role=None)
    assert answer.status == 401
    assert [one["error"]["data"]["path"] for one in answer.json] == ["test.nothing", "test.page"]


@pytest.fixture
def gate() -> Gate:
    """Return a query that ends when the gate opens."""
    return Gate(Kind.QUERY)


@pytest.fixture
def gated_wire(gate: Gate) -> Iterator[Wire]:
    """Serve the sample procedures and the gate."""
    with wire(sample(gate.procedure)) as served:
        yield served


def test_a_stream_is_sent_in_order_of_completion(gated_wire: Wire, gate: Gate) -> None:
    with gated_wire.listening(batch("gate,test.wait,test.nope", None, {"millis": 0}), STREAM) as coming:
        head, *chunks = (json.loads(next(coming)) for _ in range(3))
        gate.opened.set()
        chunks += map(json.loads, coming)
    assert head == {"0": [[0], [None, 0, 0]], "1": [[0], [None, 0, 1]], "2": [[0], [None, 0, 2]]}
    assert [chunk[0] for chunk in chunks] == [2, 1, 0]
    assert chunks[1:] == [[1, 0, [[{"result": {"data": 0}}]]], [0, 0, [[{"result": {"data": None}}]]]]


def test_a_stream_is_a_200_even_if_every_call_fails(sample_wire: Wire) -> None:
    answer = sample_wire.ask("test.nothing,test.nope?batch=1", headers=STREAM, role=None)
    failed = [chunk[2][0][0]["error"]["data"]["code"] for chunk in lines(answer.body)[1:]]
    assert (answer.status, sorted(failed)) == (200, ["NOT_FOUND", "UNAUTHORIZED"])


def test_a_stream_that_is_refused_whole_is_plain_json(sample_wire: Wire) -> None:
    answer = sample_wire.ask("test.nothing,test.add?batch=1", headers=STREAM)
    assert (answer.status, answer.error["data"]["code"]) == (400, "BAD_REQUEST")


def test_a_stream_in_version_10s_form_is_one_object(gated_wire: Wire, gate: Gate) -> None:
    target = batch("gate,test.wait", None, {"millis": 0})
    with gated_wire.listening(target, {"trpc-batch-mode": "stream"}) as coming:
        first = next(coming)
        gate.opened.set()
        whole = b"".join([first, *coming])
    assert whole == b'{"1":{"result":{"data":0}}\n,"0":{"result":{"data":null}}\n}'
