"""JSON Schema of what procedures take and return, with the models they share named once.

What does not belong here: a notation made of it (`api.typescript`, `api.openapi`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from api.trpc.procedures import Procedure

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schemas:
    """Schemas by procedure path (`inputs` lacks procedures without input), and the named models they refer to."""

    inputs: Mapping[str, Schema]
    outputs: Mapping[str, Schema]
    models: Mapping[str, Schema]


def schemas(procedures: Iterable[Procedure], ref_template: str) -> Schemas:
    """Return the schemas; `ref_template` is pydantic's, such as `#/components/schemas/{model}`."""
    wanted: list[tuple[str, Any, TypeAdapter[Any]]] = []
    for procedure in procedures:
        if procedure.input_adapter is not None:
            wanted.append((procedure.path, "validation", procedure.input_adapter))
        wanted.append((procedure.path, "serialization", procedure.output_adapter))
    found, root = TypeAdapter.json_schemas(wanted, by_alias=True, ref_template=ref_template)
    return Schemas(
        inputs={path: schema for (path, mode), schema in found.items() if mode == "validation"},
        outputs={path: schema for (path, mode), schema in found.items() if mode == "serialization"},
        models=root.get("$defs", {}),
    )


def nullable(schema: Schema) -> bool:
    """Return whether null is a valid value; an input that may be null may also be left out."""
    return schema.get("type") == "null" or any(nullable(part) for part in schema.get("anyOf", ()))
