"""The published tRPC clients against this server: version 11 with all three links, and version 10."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest

from api.trpc import CallHooks, Procedure
from api.trpc.procedures import Kind
from mailchimp_pipeline_tests.api.node_tools import run_node
from mailchimp_pipeline_tests.api.trpc.sample import Caller, Gate, sample
from mailchimp_pipeline_tests.api.trpc.wire import Wire, wire

LINKS = ["httpLink", "httpBatchLink", "httpBatchStreamLink"]
CLIENTS = [("v11.mjs", link) for link in LINKS] + [("v10/v10.mjs", link) for link in LINKS]


def failed(message: str, number: int, code: str, status: int, path: str, **more: object) -> dict[str, Any]:
    """Return a client's report of a failed call."""
    data = {"code": code, "httpStatus": status, "path": path, **more}
    return {"message": message, "data": data, "number": number}


FIELD_ERRORS = {
    "someText": ["String should have at least 1 character"],
    "times": ["Input should be less than or equal to 9"],
}
FORBIDDEN = 'test.admin.erase needs the role "admin", yours is "viewer": ask an administrator of your organisation'
ECHO = {"someText": "ü \u2028 €", "times": 1, "colours": ["red"], "weight": None, "at": "2026-01-02T03:04:05Z"}
PAGE: dict[str, Any] = {"items": [0, 1], "nextCursor": None, "counts": {}}

REPORT: dict[str, Any] = {
    "nothing": {"value": None},
    "echo": {"value": ECHO},
    "defaulted": {"value": PAGE},
    "paged": {"value": PAGE | {"items": [0]}},
    "explicitNull": {"value": PAGE},
    "conflict": failed("failed with CONFLICT", -32009, "CONFLICT", 409, "test.fail"),
    "unavailable": failed("failed with SERVICE_UNAVAILABLE", -32603, "SERVICE_UNAVAILABLE", 503, "test.fail"),
    "crash": failed("Internal server error", -32603, "INTERNAL_SERVER_ERROR", 500, "test.crash"),
    "unknown": failed('No procedure found on path "test.nope"', -32004, "NOT_FOUND", 404, "test.nope"),
    "add": {"value": 42},
    "erase": {"value": "admin"},
    "anonymous": failed("Sign in first", -32001, "UNAUTHORIZED", 401, "test.nothing"),
    "forbidden": failed(FORBIDDEN, -32003, "FORBIDDEN", 403, "test.admin.erase"),
}


def assert_complete(report: dict[str, Any]) -> None:
    """Assert that a client understood every answer."""
    invalid, missing = report.pop("invalid"), report.pop("missing")
    assert invalid["data"]["zodError"] == {"formErrors": [], "fieldErrors": FIELD_ERRORS}
    assert (missing["data"]["code"], missing["data"]["path"]) == ("BAD_REQUEST", "test.add")
    assert report == REPORT


@pytest.mark.parametrize(("script", "link"), CLIENTS)
def test_a_client_understands_every_answer(sample_wire: Wire, script: str, link: str) -> None:
    assert_complete(json.loads(run_node(script, sample_wire.url, link, "report")))


@pytest.mark.parametrize("link", LINKS)
def test_a_client_may_send_its_queries_by_post(sample_wire: Wire, link: str) -> None:
    assert_complete(json.loads(run_node("v11.mjs", sample_wire.url, link, "report", "POST")))


@contextmanager
def a_slow_query(*, ends_behind_the_fast_one: bool) -> Generator[Wire]:
    """Serve the query `gate`, which ends after the mutation `open`, or at once after the query `nothing`."""
    gate = Gate(Kind.QUERY)

    def open_gate(_caller: Caller) -> None:
        gate.opened.set()

    def after_call(procedure: Procedure | None, _code: str, _seconds: float) -> None:
        if ends_behind_the_fast_one and procedure and procedure.path == "test.nothing":
            gate.opened.set()

    procedures = sample(gate.procedure, Procedure("open", Kind.MUTATION, open_gate, type(None), None))
    with wire(procedures, hooks=CallHooks(after_call=after_call)) as served:
        yield served


@pytest.mark.parametrize("script", ["v11.mjs", "v10/v10.mjs"])
@pytest.mark.parametrize(
    ("link", "order", "requests"),
    [
        ("httpLink", ["fast", "slow"], 2),
        ("httpBatchLink", ["slow", "fast"], 1),
        ("httpBatchStreamLink", ["fast", "slow"], 1),
    ],
)
def test_a_stream_gives_a_fast_answer_before_a_slow_one(
    script: str, link: str, order: list[str], requests: int
) -> None:
    # Without a stream the client gets both answers together, so it could not open the gate.
    with a_slow_query(ends_behind_the_fast_one=link == "httpBatchLink") as served:
        report = json.loads(run_node(script, served.url, link, "race"))
    assert report == {"order": order, "requests": requests}
