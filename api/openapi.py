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
    """What is wrong with an input. `fieldErrors` has messages by camelCase field, `formErrors` those about no field."""

    form_errors: list[str]
    field_errors: dict[str, list[str]]


class ErrorData(WireModel):
    """The kind of an error."""

    code: Code
    http_status: int
    path: str | None = None
    """The path of the procedure that was called."""
    zod_error: InputErrors | None = None


class ErrorShape(WireModel):
    """Why a call failed."""

    message: str
    code: int
    """The JSON-RPC error number for `data.code`."""
    data: ErrorData


class TrpcError(WireModel):
    """The answer to a call that failed."""

    error: ErrorShape


def openapi(procedures: Iterable[Procedure], *, title: str, version: str, prefix: str = "/api/trpc") -> dict[str, Any]:
    """Return the OpenAPI document of the procedures, ready for `json.dumps`."""
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
    """Return the OpenAPI operation of a procedure. Queries take the input as JSON in the URL, mutations in the body."""
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
