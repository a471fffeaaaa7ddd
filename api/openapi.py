"""The procedures as an OpenAPI 3.1 document, for clients that are not TypeScript and for people who read.

One path per procedure, for a call without batch or stream. FastAPI serves the document but cannot generate it: it
would need a route, an endpoint and two envelope models for each procedure, only to describe them.
"""

from collections.abc import Iterable
from typing import Any

from api.trpc.error_codes import Code
from api.trpc.procedures import Kind, Procedure, Schema, WireModel, nullable, schemas

_REFERENCE = "#/components/schemas/{model}"


class InputErrors(WireModel):
    """What was wrong with an input, by camelCase field."""

    form_errors: list[str]
    field_errors: dict[str, list[str]]


class ErrorData(WireModel):
    """What kind of failure it is."""

    code: Code
    http_status: int
    path: str | None = None
    """The procedure that was called."""
    zod_error: InputErrors | None = None


class ErrorShape(WireModel):
    """Why a call failed."""

    message: str
    code: int
    """The JSON-RPC number of the code."""
    data: ErrorData


class TrpcError(WireModel):
    """The answer to a call that failed."""

    error: ErrorShape


def openapi(procedures: Iterable[Procedure], *, title: str, version: str, prefix: str = "/api/trpc") -> dict[str, Any]:
    """Return the document, ready for `json.dumps`."""
    listed = list(procedures)
    known = schemas(listed, _REFERENCE)
    error = TrpcError.model_json_schema(ref_template=_REFERENCE)
    errors = {**error.pop("$defs"), "TrpcError": error}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "security": [{"bearer": []}],
        "paths": {
            f"{prefix}/{one.path}": {
                "get" if one.kind is Kind.QUERY else "post": _operation(
                    one, known.inputs.get(one.path), known.outputs[one.path]
                )
            }
            for one in listed
        },
        "components": {
            "schemas": {**known.models, **errors},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(procedure: Procedure, taken: Schema | None, returned: Schema) -> dict[str, Any]:
    """Return one procedure: a query takes its input as JSON in the query string, a mutation as its body."""
    role = f"Needs the role `{procedure.role}`." if procedure.role else "Needs no particular role."
    operation: dict[str, Any] = {
        "operationId": procedure.path,
        "tags": [procedure.path.rpartition(".")[0]],
        "summary": procedure.description,
        "description": role,
        "responses": {
            "200": _response("The output of the procedure.", _object("result", _object("data", returned))),
            "default": _response("Why the call failed.", {"$ref": _REFERENCE.format(model="TrpcError")}),
        },
    }
    if taken is None:
        return operation
    content = {"application/json": {"schema": taken}}
    required = not nullable(taken)
    if procedure.kind is Kind.QUERY:
        return operation | {"parameters": [{"name": "input", "in": "query", "required": required, "content": content}]}
    return operation | {"requestBody": {"required": required, "content": content}}


def _object(name: str, schema: Schema) -> Schema:
    return {"type": "object", "required": [name], "properties": {name: schema}}


def _response(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
