"""Invalid, hostile and unusual inputs: each fails its own call, and the error repeats no value."""

import json
from typing import Any

import pytest

from mailchimp_pipeline_tests.api.trpc.wire import Wire

ECHO = "test.echo"


def zod_error(wire: Wire, value: object) -> dict[str, Any]:
    """Return the issues of a rejected input of `echo`."""
    answer = wire.query(ECHO, value)
    assert (answer.status, answer.error["data"]["code"]) == (400, "BAD_REQUEST")
    return answer.error["data"]["zodError"]


def test_problems_are_told_by_camel_case_field(sample_wire: Wire) -> None:
    assert zod_error(sample_wire, {"someText": "", "times": 10}) == {
        "formErrors": [],
        "fieldErrors": {
            "someText": ["String should have at least 1 character"],
            "times": ["Input should be less than or equal to 9"],
        },
    }


def test_a_nested_problem_belongs_to_its_outermost_field(sample_wire: Wire) -> None:
    found = zod_error(sample_wire, {"someText": "a", "colours": ["red", "green"]})
    assert found["fieldErrors"] == {"colours": ["Input should be 'red' or 'dark-blue'"]}


def test_a_problem_of_no_field_is_the_forms(sample_wire: Wire) -> None:
    found = zod_error(sample_wire, [])
    assert (found["fieldErrors"], len(found["formErrors"])) == ({}, 1)


def test_what_a_validator_says_comes_without_a_prefix(sample_wire: Wire) -> None:
    found = zod_error(sample_wire, {"someText": "forbidden"})
    assert found["fieldErrors"] == {"someText": ["Choose another text"]}


def test_the_message_is_the_list_of_issues_without_values(sample_wire: Wire) -> None:
    answer = sample_wire.query(ECHO, {"someText": 12345})
    issues = json.loads(answer.error["message"])
    assert issues == [{"code": "string_type", "path": ["someText"], "message": "Input should be a valid string"}]
    assert b"12345" not in answer.body


def test_a_handler_may_refuse_a_field(sample_wire: Wire) -> None:
    found = sample_wire.ask("test.field").error["data"]["zodError"]
    assert found == {"formErrors": [], "fieldErrors": {"apiKey": ["must end in -us1"]}}


@pytest.mark.parametrize(
    "value",
    [{"someText": "a", "times": "2"}, {"someText": "a", "times": True}, {"some_text": "a"}, {"someText": "a", "x": 1}],
)
def test_inputs_are_read_strictly(sample_wire: Wire, value: object) -> None:
    assert zod_error(sample_wire, value)["fieldErrors"]


def test_very_many_problems_are_only_counted(sample_wire: Wire) -> None:
    answer = sample_wire.mutate(ECHO, {"someText": "a", "colours": ["x"] * 1000})
    assert answer.error["message"] == "The input has 1000 problems: send fewer values, or correct them"


HOSTILE = {
    "a lone surrogate": rb'{"someText":"\ud800"}',
    "NaN": b'{"someText":"a","weight":NaN}',
    "Infinity": b'{"someText":"a","weight":Infinity}',
    "-Infinity": b'{"someText":"a","weight":-Infinity}',
    "a float beyond all floats": b'{"someText":"a","weight":1e999}',
    "deep nesting": b'{"someText":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a huge integer": b'{"someText":"a","times":' + b"9" * 5000 + b"}",
    "a long integer": b'{"someText":"a","times":' + b"9" * 4000 + b"}",
    "UTF-16": '{"someText":"a"}'.encode("utf-16"),
    "bytes that are no text": b'{"someText":"\xff"}',
    "half an object": b'{"someText":"a"',
    "two values": b'{"someText":"a"} {}',
    "a blank": b" ",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_input_is_a_bad_request(sample_wire: Wire, text: bytes) -> None:
    answer = sample_wire.ask(ECHO, method="POST", body=text)
    assert (answer.status, answer.error["data"]["path"]) == (400, ECHO)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_input_in_a_batch_is_a_bad_request(sample_wire: Wire, text: bytes) -> None:
    answer = sample_wire.ask(f"{ECHO},test.nothing?batch=1", method="POST", body=b'{"0":' + text + b"}")
    assert [one.get("error", {}).get("data", {}).get("code") for one in answer.json] == ["BAD_REQUEST", None]


def test_a_text_may_say_nan(sample_wire: Wire) -> None:
    assert sample_wire.query(ECHO, {"someText": "NaN, Infinity"}).data["someText"] == "NaN, Infinity"
