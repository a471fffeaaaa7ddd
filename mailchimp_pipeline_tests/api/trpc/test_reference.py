"""The published server and this server give equivalent answers to the same requests."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from api.trpc import Limits
from mailchimp_pipeline_tests.api.node_tools import reference_server
from mailchimp_pipeline_tests.api.trpc.wire import Answer, Wire, wire

ECHO = {"someText": "é", "times": 2}
GET = {"method": "GET"}
POST = {"method": "POST", "headers": {"content-type": "application/json"}}
STREAM = {"trpc-accept": "application/jsonl"}


def given(value: object) -> str:
    """Return a value as the `input` parameter."""
    return f"input={quote(json.dumps(value))}"


def post(value: object, **headers: str) -> dict[str, Any]:
    """Return a value as a POST body."""
    return {"method": "POST", "body": json.dumps(value), "headers": {"content-type": "application/json"} | headers}


REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a query": (f"test.echo?{given(ECHO)}", GET),
    "a query without input": ("test.page", GET),
    "a query with null": ("test.page?input=null", GET),
    "an empty input": ("test.page?input=", GET),
    "a null output": ("test.nothing", GET),
    "a query by POST": ("test.echo", post(ECHO)),
    "a mutation": ("test.add", post({"amount": 2})),
    "a mutation without input": ("test.admin.erase", POST),
    "a mutation by GET": (f"test.add?{given({'amount': 2})}", GET),
    "a query by PUT": ("test.echo", post(ECHO) | {"method": "PUT"}),
    "a mutation by DELETE": ("test.add", post({}) | {"method": "DELETE"}),
    "OPTIONS": ("test.echo", {"method": "OPTIONS"}),
    "HEAD": ("test.echo", {"method": "HEAD"}),
    "an unknown procedure": ("test.nope", GET),
    "a router": ("test", GET),
    "no path": ("", GET),
    "a reserved name": ("test.then", GET),
    "a name of JavaScript": ("__proto__", GET),
    "a slash behind": ("test.nothing/", GET),
    "two slashes before": ("/test.nothing", GET),
    "a slash within": ("test/nothing", GET),
    "an escaped path": ("test%2Enothing", GET),
    "a broken escape": ("test.%zz", GET),
    "an escape that is no text": ("test.%ff", GET),
    "an invalid input": (f"test.echo?{given({'someText': '', 'times': 10})}", GET),
    "a missing input": ("test.add", POST),
    "broken JSON": ("test.echo?input={", GET),
    "a broken body": ("test.add", POST | {"body": "{"}),
    "a blank body": ("test.add", POST | {"body": " "}),
    "input where none is taken": ("test.nothing?input={", GET),
    "two inputs": (f"test.page?{given({'limit': 1})}&{given({'limit': 3})}", GET),
    "plus signs": ("test.page?input=%7B+%22limit%22:+1+%7D", GET),
    "an escaped parameter": (f"test.page?%69{given({'limit': 1})[1:]}", GET),
    "no content type": ("test.add", {"method": "POST"}),
    "another content type": ("test.add", {"method": "POST", "body": "{}", "headers": {"content-type": "text/plain"}}),
    "a content type with parameters": (
        "test.add",
        post({"amount": 1}) | {"headers": {"content-type": "Application/JSON;a=b"}},
    ),
    "a content type on GET": ("test.nothing", {"method": "GET", "headers": {"content-type": "text/plain"}}),
    "nobody": ("test.nothing", GET | {"role": None}),
    "nobody, unknown procedure": ("test.nope", GET | {"role": None}),
    "nobody, wrong method": ("test.add", GET | {"role": None}),
    "nobody, broken body": ("test.add", POST | {"body": "{", "role": None}),
    "too small a role, broken body": ("test.add", POST | {"body": "{", "role": "viewer"}),
    "too small a role": ("test.admin.erase", POST | {"role": "editor"}),
    "a body too large": ("test.add", post({"amount": 1, "more": "x" * 2000})),
    "a body too large for nobody": ("test.add", post({"amount": 1, "more": "x" * 2000}) | {"role": None}),
    "a body too large for no input": ("test.admin.erase", post("x" * 2000)),
    "a batch": (f"test.echo,test.page?batch=1&{given({'0': ECHO, '1': {'limit': 1}})}", GET),
    "a batch of one": ("test.nothing?batch=1", GET),
    "a batch of one that fails": ("test.nope?batch=1", GET),
    "an escaped comma": ("test.nothing%2Ctest.page?batch=1", GET),
    "a batch with gaps": (f"test.page,test.page?batch=1&{given({'1': {'limit': 1}, '7': 1})}", GET),
    "a mixed result": (f"test.nothing,test.fail?batch=1&{given({'1': {'code': 'CONFLICT'}})}", GET),
    "equal failures": (
        f"test.fail,test.fail?batch=1&{given({'0': {'code': 'CONFLICT'}, '1': {'code': 'CONFLICT'}})}",
        GET,
    ),
    "a batch of mutations": ("test.add,test.add?batch=1", post({"0": {"amount": 1}, "1": {}})),
    "a batch of mutations by GET": ("test.add,test.nope?batch=1", GET),
    "both kinds": ("test.nothing,test.add?batch=1", POST),
    "both kinds for nobody": ("test.nothing,test.add?batch=1", POST | {"role": None}),
    "a batch for nobody": ("test.nothing,test.nope?batch=1", GET | {"role": None}),
    "a batch of null": ("test.page,test.nothing?batch=1", post(None)),
    "a batch of an array": ("test.page,test.page?batch=1", post([{"limit": 1}])),
    "a batch of a number": ("test.page?batch=1&input=5", GET),
    "a batch of broken JSON": ("test.page,test.nothing?batch=1&input={", GET),
    "batch=true": ("test.nothing,test.page?batch=true", GET),
    "batch twice": ("test.nothing?batch=0&batch=1", GET),
    "an empty part": ("test.nothing,,?batch=1", GET),
    "too large a batch": (",".join(["test.nothing"] * 6) + "?batch=1", GET),
    "too large a batch of another content type": (",".join(["test.nothing"] * 6) + "?batch=1", {"method": "POST"}),
    "a stream": (
        f"test.wait,test.nothing?batch=1&{given({'0': {'millis': 60}})}",
        {"method": "GET", "headers": STREAM},
    ),
    "a stream by accept": ("test.nothing?batch=1", {"method": "GET", "headers": {"accept": "a/b, application/jsonl"}}),
    "two accept headers": (
        "test.nothing",
        {"method": "GET", "headers": {"accept": "application/jsonl", "trpc-accept": "x"}},
    ),
    "a stream of failures": ("test.nope,test.add?batch=1", {"method": "GET", "headers": STREAM}),
    "a stream of mutations": ("test.add,test.add?batch=1", post({"0": {"amount": 1}}, **STREAM)),
    "a stream for nobody": ("test.nothing,test.page?batch=1", {"method": "GET", "headers": STREAM, "role": None}),
    "a stream of both kinds": ("test.nothing,test.add?batch=1", {"method": "GET", "headers": STREAM}),
    "a stream that is no batch": ("test.nothing", {"method": "GET", "headers": STREAM}),
    "too large a stream": (",".join(["test.nothing"] * 6) + "?batch=1", {"method": "GET", "headers": STREAM}),
} | {
    f"the code {code}": (f"test.fail?{given({'code': code})}", GET)
    for code in (
        "PARSE_ERROR",
        "PAYMENT_REQUIRED",
        "TIMEOUT",
        "CLIENT_CLOSED_REQUEST",
        "NOT_IMPLEMENTED",
        "BAD_GATEWAY",
    )
}

# The texts differ between servers: those of JSON parsers and validators, and a quotation mark
# that the reference omits.
OWN_WORDS = (
    "invalid",
    "[{",
    "Invalid JSON",
    "Expected",
    "Unexpected",
    "PAYLOAD",
    "The request's body is too large",
    "Unsupported content-type",
)


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Wire, Wire]]:
    """Run the reference server and this server with the same limits."""
    with reference_server() as port, wire(limits=Limits(batch_size=5, body_bytes=1000)) as ours:
        yield Wire(port), ours


@pytest.mark.parametrize("name", REQUESTS)
def test_the_answer_means_the_same(both: tuple[Wire, Wire], name: str) -> None:
    target, how = REQUESTS[name]
    reference, ours = (meaning(server.ask(target, **how)) for server in both)
    assert ours == reference


def meaning(answer: Answer) -> tuple[object, ...]:
    """Return what a client learns from an answer: status, allowed methods, format and each call's reply."""
    replies = [canonical(reply) for reply in parsed(answer.body)]
    whole = answer.body.startswith(b"[") if answer.body else None
    allowed = answer.headers.get("allow") if answer.status == 405 else None
    return answer.status, allowed, answer.headers.get("vary"), whole, replies


def parsed(body: bytes) -> list[Any]:
    """Return the replies in an answer of any format, in the order of the calls."""
    lines = [json.loads(line) for line in body.splitlines()]
    if len(lines) > 1:
        chunks = {chunk[0]: chunk[2] for chunk in lines[1:]}
        return [unfold(promise, chunks) for promise in lines[0].values()]
    return lines[0] if lines and body.startswith(b"[") else lines


def unfold(encoded: list[Any], chunks: dict[int, list[Any]]) -> Any:  # noqa: ANN401 - any JSON value
    """Join a value that a stream spreads over chunks, as the client does."""
    [held], *definitions = encoded
    for key, _, chunk in definitions:
        value = unfold(chunks[chunk], chunks)
        if key is None:
            return value
        held[key] = value
    return held


def canonical(reply: dict[str, Any]) -> dict[str, Any]:
    """Return a reply without the texts that differ between servers."""
    message = reply.get("error", {}).get("message", "")
    if message.startswith(OWN_WORDS):
        reply["error"]["message"] = "own words"
    return reply
