"""Invalid outputs: each fails its own call, and the error reveals no internals."""

import pytest

from api.trpc import CallHooks
from mailchimp_pipeline_tests.api.trpc.sample import Page, returns, sample
from mailchimp_pipeline_tests.api.trpc.wire import Answer, wire

INTERNAL = {"code": "INTERNAL_SERVER_ERROR", "httpStatus": 500, "path": "given"}


def given(output: object, value: object) -> Answer:
    """Return the answer of a procedure that returns the value, in a batch with a successful call."""
    with wire(sample(returns(output, value))) as served:
        return served.ask("given,test.nothing?batch=1")


def recording(seen: list[tuple[str, str]]) -> CallHooks:
    """Return hooks that record each defect with its call."""
    return CallHooks(on_error=lambda path, defect: seen.append((path, type(defect).__name__)))


@pytest.mark.parametrize(
    ("output", "value"),
    [
        (int, 2**53),
        (list[int], [1, -(2**53)]),
        (dict[str, int], {"a": 2**60}),
        (str, "\ud800"),
        (int, "not a number"),
        (Page, {"items": "wrong"}),
        (object, object()),
    ],
)
def test_an_output_that_cannot_be_sent_fails_its_own_call(output: object, value: object) -> None:
    first, second = given(output, value).json
    assert first["error"] == {"message": "Internal server error", "code": -32603, "data": INTERNAL}
    assert second == {"result": {"data": None}}


@pytest.mark.parametrize(
    ("output", "value"),
    [(int, 2**53 - 1), (str, ":9999999999999999999,NaN"), (list[float], [1 / 3, 1e300]), (str, "</script>\u2028")],
)
def test_what_javascript_reads_exactly_is_sent(output: object, value: object) -> None:
    assert given(output, value).json[0] == {"result": {"data": value}}


def test_a_number_that_is_none_is_sent_as_null() -> None:
    assert given(list[float], [float("nan"), float("inf")]).json[0] == {"result": {"data": [None, None]}}


@pytest.mark.parametrize("path", ["test.crash", "test.exit"])
def test_a_defect_says_nothing_of_the_inside(path: str) -> None:
    seen: list[tuple[str, str]] = []
    with wire(hooks=recording(seen)) as served:
        answer = served.ask(path)
    assert answer.error["message"] == "Internal server error"
    assert seen == [(path, {"test.crash": "RuntimeError", "test.exit": "SystemExit"}[path])]


def test_a_defect_in_making_the_context_is_told_once() -> None:
    seen: list[tuple[str, str]] = []
    with wire(hooks=recording(seen)) as served:
        answer = served.ask("test.nothing,test.page?batch=1", role="broken")
    assert [one["error"]["message"] for one in answer.json] == ["Internal server error"] * 2
    assert seen == [("test.nothing,test.page", "RuntimeError")]
