"""The control routes: POST /sandbox/{operation}, and GET for operations that only read.

The routes have no authentication, so they answer requests from this machine only.
"""

import asyncio
import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import cast

from pydantic import ConfigDict, ValidationError, validate_call
from pydantic_core import to_jsonable_python
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mailchimp_pipeline.errors import PipelineError
from sandbox.control import Controls
from sandbox.model.problems import Problem

Operation = Callable[..., object]

READ_OPERATIONS = (
    "behaviours",
    "counts",
    "members",
    "member",
    "statuses",
    "is_forgotten",
    "sent",
    "carried_out",
    "times_sent",
    "journal",
    "journal_length",
)
"""Operations that only read."""

_STRICT = ConfigDict(hide_input_in_errors=True)


def operations(controls: Controls) -> dict[str, Operation]:
    """Return all operations by name, with validation of their arguments."""
    names = [name for name in dir(type(controls)) if not name.startswith("_")]
    found = {name: getattr(controls, name) for name in names if callable(getattr(Controls, name, None))}
    return {name: validate_call(config=_STRICT)(operation) for name, operation in found.items()}


class ControlRoutes:
    """Answers requests to the control routes."""

    def __init__(self, controls: Controls) -> None:
        """Serve these operations."""
        self._operations = operations(controls)

    async def answer(self, request: Request) -> Response:
        """Run the operation in the path."""
        if not _is_near(request):
            return _rejection(403, "The sandbox is controlled from the machine it runs on only.")
        name = request.path_params["operation"].replace("-", "_")
        if name not in self._operations or (request.method == "GET" and name not in READ_OPERATIONS):
            return _rejection(404, f"The sandbox has no such operation; it has {', '.join(self._operations)}.")
        try:
            arguments = await _arguments(request)
            result = await asyncio.to_thread(self._operations[name], **arguments)
        except (ValidationError, PipelineError, Problem, ValueError) as error:
            return _rejection(422, _text(error))
        return JSONResponse(to_jsonable_python(result))


async def _arguments(request: Request) -> Mapping[str, object]:
    if request.method == "GET":
        return dict(request.query_params)
    raw = await request.body()
    arguments: object = json.loads(raw) if raw else {}
    if not isinstance(arguments, dict):
        msg = "The body must be an object: the operation's arguments by name."
        raise ValueError(msg)  # noqa: TRY004 -- an invalid body like any other
    return cast("Mapping[str, object]", arguments)


def _is_near(request: Request) -> bool:
    return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback


def _text(error: Exception) -> str:
    """Return the validation errors without the given values."""
    if isinstance(error, ValidationError):
        found = error.errors(include_input=False, include_url=False)
        return "; ".join(f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in found)
    return error.title if isinstance(error, Problem) else str(error)


def _rejection(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)
