"""The errors of tRPC: its codes, and the JSON of an error."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from mailchimp_pipeline.errors import PipelineError

Code = Literal[
    "PARSE_ERROR",
    "BAD_REQUEST",
    "UNAUTHORIZED",
    "PAYMENT_REQUIRED",
    "FORBIDDEN",
    "NOT_FOUND",
    "METHOD_NOT_SUPPORTED",
    "TIMEOUT",
    "CONFLICT",
    "PRECONDITION_FAILED",
    "PAYLOAD_TOO_LARGE",
    "UNSUPPORTED_MEDIA_TYPE",
    "UNPROCESSABLE_CONTENT",
    "PRECONDITION_REQUIRED",
    "TOO_MANY_REQUESTS",
    "CLIENT_CLOSED_REQUEST",
    "INTERNAL_SERVER_ERROR",
    "NOT_IMPLEMENTED",
    "BAD_GATEWAY",
    "SERVICE_UNAVAILABLE",
    "GATEWAY_TIMEOUT",
]


class Numbers(NamedTuple):
    """The two numbers of an error code: the JSON-RPC number, which 5xx codes share, and the HTTP status."""

    rpc: int
    http: int


CODES: Mapping[Code, Numbers] = {
    "PARSE_ERROR": Numbers(-32700, 400),
    "BAD_REQUEST": Numbers(-32600, 400),
    "UNAUTHORIZED": Numbers(-32001, 401),
    "PAYMENT_REQUIRED": Numbers(-32002, 402),
    "FORBIDDEN": Numbers(-32003, 403),
    "NOT_FOUND": Numbers(-32004, 404),
    "METHOD_NOT_SUPPORTED": Numbers(-32005, 405),
    "TIMEOUT": Numbers(-32008, 408),
    "CONFLICT": Numbers(-32009, 409),
    "PRECONDITION_FAILED": Numbers(-32012, 412),
    "PAYLOAD_TOO_LARGE": Numbers(-32013, 413),
    "UNSUPPORTED_MEDIA_TYPE": Numbers(-32015, 415),
    "UNPROCESSABLE_CONTENT": Numbers(-32022, 422),
    "PRECONDITION_REQUIRED": Numbers(-32028, 428),
    "TOO_MANY_REQUESTS": Numbers(-32029, 429),
    "CLIENT_CLOSED_REQUEST": Numbers(-32099, 499),
    "INTERNAL_SERVER_ERROR": Numbers(-32603, 500),
    "NOT_IMPLEMENTED": Numbers(-32603, 501),
    "BAD_GATEWAY": Numbers(-32603, 502),
    "SERVICE_UNAVAILABLE": Numbers(-32603, 503),
    "GATEWAY_TIMEOUT": Numbers(-32603, 504),
}

MAX_ISSUES = 100
"""The maximum number of problems of one input that an error lists. A list of a million invalid items must not cause a
longer answer."""

_PYDANTIC_PREFIXES = {"value_error": "Value error, ", "assertion_error": "Assertion failed, "}


class TRPCError(PipelineError):
    """An error for clients.

    `field_errors` are messages by camelCase field, `form_errors` are about no single field. `retry_after` is in
    seconds.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        field_errors: Mapping[str, Sequence[str]] | None = None,
        *,
        form_errors: Sequence[str] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.field_errors = field_errors
        self.form_errors = form_errors
        self.retry_after = retry_after

    @property
    def http_status(self) -> int:
        """The HTTP status of an answer that holds only this error."""
        return CODES[self.code].http

    @property
    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """The headers this error adds to an answer that is not streamed."""
        if self.code == "TIMEOUT":
            # The rest of the body would otherwise be taken for the next request.
            return ((b"connection", b"close"),)
        return () if self.retry_after is None else ((b"retry-after", b"%d" % self.retry_after),)

    def envelope(self, path: str | None = None) -> bytes:
        """Return the error as JSON. `path` is that of the procedure, None if the whole request failed.

        The JSON is in ASCII, because a lone surrogate could not be encoded otherwise.
        """
        data: dict[str, object] = {"code": self.code, "httpStatus": self.http_status}
        if path is not None:
            data["path"] = path
        if self.field_errors is not None or self.form_errors:
            data["zodError"] = {
                "formErrors": list(self.form_errors),
                "fieldErrors": {field: list(messages) for field, messages in (self.field_errors or {}).items()},
            }
        shape = {"message": self.message, "code": CODES[self.code].rpc, "data": data}
        return json.dumps({"error": shape}, separators=(",", ":")).encode()


def internal_error() -> TRPCError:
    """Return the error for a defect, without details."""
    return TRPCError("INTERNAL_SERVER_ERROR", "Internal server error")


def bad_input(invalid: ValidationError) -> TRPCError:
    """Return BAD_REQUEST for an invalid input. It does not repeat the input's values.

    Its message is a JSON list of problems, as servers with zod send it.
    """
    if invalid.error_count() > MAX_ISSUES:
        summary = f"The input has {invalid.error_count()} problems: send fewer values, or correct them"
        return TRPCError("BAD_REQUEST", summary, {}, form_errors=[summary])
    details = invalid.errors(include_url=False, include_context=False, include_input=False)
    if details[0]["type"] == "json_invalid":
        return TRPCError("BAD_REQUEST", details[0]["msg"])
    issues = [{"code": one["type"], "path": one["loc"], "message": _text(one)} for one in details]
    form_errors: list[str] = []
    field_errors: dict[str, list[str]] = {}
    for one in details:
        target = field_errors.setdefault(str(one["loc"][0]), []) if one["loc"] else form_errors
        target.append(_text(one))
    return TRPCError("BAD_REQUEST", json.dumps(issues), field_errors, form_errors=form_errors)


def _text(detail: ErrorDetails) -> str:
    """Return the message for a form, without the prefix that pydantic adds to messages of our validators."""
    return detail["msg"].removeprefix(_PYDANTIC_PREFIXES.get(detail["type"], ""))
