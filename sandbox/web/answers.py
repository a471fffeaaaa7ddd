"""HTTP responses for answers and problems, each with a request id."""

from collections.abc import Mapping
from uuid import uuid4

from pydantic_core import to_json
from starlette.responses import Response

from sandbox.model.problems import Problem
from sandbox.web.endpoints import Answer

_JSON = "application/json; charset=utf-8"
_PROBLEM = "application/problem+json; charset=utf-8"


def response(answer: Answer) -> Response:
    """Return the response for an answer."""
    headers = {"X-Request-Id": str(uuid4()), "Content-Type": _JSON}
    return Response(_encoded(answer.body), answer.status, headers)


def problem_response(problem: Problem, more: Mapping[str, str] | None = None) -> Response:
    """Return the response for a problem. Its `instance` is the request id."""
    instance = str(uuid4())
    headers = {"X-Request-Id": instance, "Content-Type": _PROBLEM, **(more or {})}
    if problem.allow:
        headers["Allow"] = ", ".join(problem.allow)
    return Response(_encoded(problem.document(instance)), problem.status, headers)


def _encoded(body: object) -> bytes:
    return b"" if body is None else to_json(body)
