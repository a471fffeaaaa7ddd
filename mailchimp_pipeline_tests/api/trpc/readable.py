"""What a tRPC client can read, whatever it asked and however it was answered."""

import json
from typing import Any, cast

from mailchimp_pipeline_tests.api.trpc.wire import Answer


def assert_readable(answer: Answer) -> None:
    """Hold that each part of the answer is a result, or an error with a number and a text, and none is a defect."""
    for part in parts(answer):
        if "result" in part:
            continue
        assert type(part["error"]["code"]) is int
        assert type(part["error"]["message"]) is str
        assert part["error"]["data"]["code"] != "INTERNAL_SERVER_ERROR"


def parts(answer: Answer) -> list[dict[str, Any]]:
    """Return the replies within an answer of any form."""
    if answer.body.startswith(b'{"0":[[0]'):
        return [json.loads(line)[2][0][0] for line in answer.body.splitlines()[1:]]
    whole = answer.json
    if isinstance(whole, list):
        return cast("list[dict[str, Any]]", whole)
    return list(whole.values()) if whole.keys().isdisjoint({"result", "error"}) else [whole]
