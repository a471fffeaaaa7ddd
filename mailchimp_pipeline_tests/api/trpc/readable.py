"""The answers that a tRPC client can parse, for any request."""

import json
from typing import Any, cast

from mailchimp_pipeline_tests.api.trpc.wire import Answer


def assert_readable(answer: Answer) -> None:
    """Assert that each part of the answer is a result or an error with code and message, and none is a defect."""
    for part in parts(answer):
        if "result" in part:
            continue
        assert type(part["error"]["code"]) is int
        assert type(part["error"]["message"]) is str
        assert part["error"]["data"]["code"] != "INTERNAL_SERVER_ERROR"


def parts(answer: Answer) -> list[dict[str, Any]]:
    """Return the replies in an answer of any format."""
    if answer.body.startswith(b'{"0":[[0]'):
        return [json.loads(line)[2][0][0] for line in answer.body.splitlines()[1:]]
    whole = answer.json
    if isinstance(whole, list):
        return cast("list[dict[str, Any]]", whole)
    return list(whole.values()) if whole.keys().isdisjoint({"result", "error"}) else [whole]
