"""JSON Schema of what procedures take and return, with the models they share named once.

What does not belong here: a notation made of it (`api.typescript`, `api.openapi`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from api.trpc.procedures import Procedure

Schema = Mapping[str, Any]

_REFERENCE = "#/$defs/"


@dataclass(frozen=True, slots=True)
class Schemas:
    """Schemas by procedure path (`inputs` lacks the procedures that take none), and the named models they refer to."""

    inputs: Mapping[str, Schema]
    outputs: Mapping[str, Schema]
    models: Mapping[str, Schema]


class _Generator(GenerateJsonSchema):
    """Knows that an output always has all of its fields, also those with a default."""

    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,  # noqa: FBT001 - pydantic's signature
    ) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


def schemas(procedures: Iterable[Procedure], reference: str) -> Schemas:
    """Return the schemas; `reference` is how one points at a model, such as `#/components/schemas/{model}`."""
    wanted: list[tuple[str, Any, TypeAdapter[Any]]] = []
    for procedure in procedures:
        if procedure.input_adapter is not None:
            wanted.append((procedure.path, "validation", procedure.input_adapter))
        wanted.append((procedure.path, "serialization", procedure.output_adapter))
    found, root = TypeAdapter.json_schemas(wanted, by_alias=True, schema_generator=_Generator)
    models: dict[str, Any] = root.get("$defs", {})
    names = {name: _model_name(name) for name in models}
    return Schemas(
        inputs={path: _tidy(one, names, reference) for (path, mode), one in found.items() if mode == "validation"},
        outputs={path: _tidy(one, names, reference) for (path, mode), one in found.items() if mode == "serialization"},
        models={names[name]: _tidy(one, names, reference) for name, one in models.items()},
    )


def _model_name(name: str) -> str:
    """Return a name that TypeScript takes: pydantic's `Page_Segment_` and `Filter-Input` have others."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))


def nullable(schema: Schema) -> bool:
    """Say whether null is among the values; then an input may also be left out."""
    return schema.get("type") == "null" or any(nullable(part) for part in schema.get("anyOf", ()))


def _tidy(schema: Schema, names: Mapping[str, str], reference: str) -> Schema:
    """Return a schema with its references renamed, and without the titles that pydantic derives from field names."""
    return {key: _tidy_part(key, part, names, reference) for key, part in schema.items() if key != "title"}


def _tidy_part(key: str, part: object, names: Mapping[str, str], reference: str) -> object:
    """Return one member of a schema; under `properties` the keys are fields' names, of which one may be `title`."""
    if key == "$ref":
        return reference.format(model=names[str(part).removeprefix(_REFERENCE)])
    if key == "properties":
        fields = cast("Mapping[str, Schema]", part)
        return {field: _tidy(one, names, reference) for field, one in fields.items()}
    if isinstance(part, dict):
        return _tidy(cast("Schema", part), names, reference)
    if isinstance(part, list):
        return [_tidy_part("", one, names, reference) for one in cast("list[object]", part)]
    return part
