"""The procedures as an OpenAPI 3.1 document, for clients that are not TypeScript and for people who read.

One path a procedure, called alone; batches and streams are the tRPC clients' own. What does not belong here:
serving the document.
"""

from collections.abc import Iterable
from typing import Any

from api.trpc.errors import CODES
from api.trpc.procedures import Kind, Procedure
from api.trpc.schemas import Schema, nullable, schemas

_ERROR: Schema = {
    "type": "object",
    "description": "Why a call failed; `error.data.code` says what kind of failure it is.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "code", "data"],
            "properties": {
                "message": {"type": "string"},
                "code": {"type": "integer", "description": "The JSON-RPC number of the code"},
                "data": {
                    "type": "object",
                    "required": ["code", "httpStatus"],
                    "properties": {
                        "code": {"type": "string", "enum": list(CODES)},
                        "httpStatus": {"type": "integer"},
                        "path": {"type": "string", "description": "The procedure, where one was called"},
                        "zodError": {"$ref": "#/components/schemas/InputErrors"},
                    },
                },
            },
        }
    },
}

_MESSAGES: Schema = {"type": "array", "items": {"type": "string"}}

_INPUT_ERRORS: Schema = {
    "type": "object",
    "description": "What was wrong with an input, by camelCase field.",
    "required": ["formErrors", "fieldErrors"],
    "properties": {"formErrors": _MESSAGES, "fieldErrors": {"type": "object", "additionalProperties": _MESSAGES}},
}


def openapi(procedures: Iterable[Procedure], *, title: str, version: str, prefix: str = "/api/trpc") -> dict[str, Any]:
    """Return the document, ready for `json.dumps`."""
    listed = list(procedures)
    known = schemas(listed, "#/components/schemas/{model}")
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
            "schemas": {**known.models, "InputErrors": _INPUT_ERRORS, "TrpcError": _ERROR},
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
            "200": _response("What the procedure returned.", _envelope(returned)),
            "default": _response("Why the call failed.", {"$ref": "#/components/schemas/TrpcError"}),
        },
    }
    if taken is None:
        return operation
    content = {"application/json": {"schema": taken}}
    required = not nullable(taken)
    if procedure.kind is Kind.QUERY:
        return operation | {"parameters": [{"name": "input", "in": "query", "required": required, "content": content}]}
    return operation | {"requestBody": {"required": required, "content": content}}


def _envelope(returned: Schema) -> Schema:
    result = {"type": "object", "required": ["data"], "properties": {"data": returned}}
    return {"type": "object", "required": ["result"], "properties": {"result": result}}


def _response(description: str, schema: Schema) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
