"""The types of the procedures for TypeScript clients; `python -m api.app_router` writes them to `app-router.d.ts`.

With that file, `createTRPCClient<AppRouter>` checks paths, inputs, outputs and errors at compile time. It needs
`@trpc/server` 11.4 or newer, a peer dependency of every client.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from api.procedures.registry import PROCEDURES
from api.trpc.procedures import Procedure, Schema, Schemas, nullable, schemas

_HEAD = """\
// The types of the API's procedures, for createTRPCClient<AppRouter>. Generated: change the procedures instead.
import type {
  TRPCBuiltRouter,
  TRPCDefaultErrorData,
  TRPCDefaultErrorShape,
  TRPCMutationProcedure,
  TRPCQueryProcedure,
} from "@trpc/server";

/** What was wrong with an input, by camelCase field; `formErrors` concern no single field. */
export interface InputErrors {
  formErrors: string[];
  fieldErrors: Record<string, string[] | undefined>;
}

/** An error as clients get it: `error.data.code` says what kind it is. */
export interface ErrorShape extends TRPCDefaultErrorShape {
  data: TRPCDefaultErrorData & { zodError?: InputErrors };
}

type Query<Input, Output> = TRPCQueryProcedure<{ input: Input; output: Output; meta: object }>;
type Mutation<Input, Output> = TRPCMutationProcedure<{ input: Input; output: Output; meta: object }>;
"""

_ROUTER = """\
export type AppRouter = TRPCBuiltRouter<
  { ctx: object; meta: object; errorShape: ErrorShape; transformer: false },
  {tree}
>;
"""

_INDENT = "  "


def typescript(procedures: Iterable[Procedure]) -> str:
    """Return the text of `app-router.d.ts` for these procedures. The same procedures always give the same text."""
    listed = list(procedures)
    known = schemas(listed, "{model}")
    models = [_model(name, known.models[name]) for name in sorted(known.models, key=_name)]
    router = _ROUTER.replace("{tree}", _block(_tree(listed, known), depth=1))
    return "\n".join([_HEAD, *models, router])


def _name(model: str) -> str:
    """Return the name that clients import: `Segment` for `SegmentView`, `FilterInput` for pydantic's `Filter-Input`."""
    return model.removesuffix("View").replace("-", "")


def _model(name: str, schema: Schema) -> str:
    """Return the declaration of a named model: an interface, or an alias of a type."""
    comment, name = _comment(schema.get("description"), ""), _name(name)
    if not schema.get("properties"):
        return f"{comment}export type {name} = {_type(schema)};\n"
    required = schema.get("required", ())
    fields = [_field(name, one, required=name in required) for name, one in schema["properties"].items()]
    return "\n".join([f"{comment}export interface {name} {{", *fields, "}\n"])


def _field(name: str, schema: Schema, *, required: bool) -> str:
    """Return the declaration of a field. An optional field may also be undefined: JSON then leaves it out."""
    written = f"{name}: {_type(schema)}" if required else f"{name}?: {_type(schema)} | undefined"
    return f"{_comment(schema.get('description'), _INDENT)}{_INDENT}{written};"


def _tree(procedures: Sequence[Procedure], known: Schemas) -> dict[str, Any]:
    """Return the procedures as nested objects by the parts of their paths. A leaf is a pair of a comment and a type."""
    tree: dict[str, Any] = {}
    for procedure in procedures:
        *parents, name = procedure.path.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        taken = _input(known.inputs.get(procedure.path))
        returned = _type(known.outputs[procedure.path])
        branch[name] = (procedure.description, f"{procedure.kind.capitalize()}<{taken}, {returned}>")
    return tree


def _input(schema: Schema | None) -> str:
    """Return the type of an input: `void` if there is none. An input that may be null may also be left out."""
    if schema is None:
        return "void"
    return f"{_type(schema)} | undefined" if nullable(schema) else _type(schema)


def _block(tree: Mapping[str, Any], depth: int) -> str:
    lines: list[str] = []
    indent = _INDENT * (depth + 1)
    for name, member in tree.items():
        if isinstance(member, tuple):
            description, written = cast("tuple[str, str]", member)
            lines.append(f"{_comment(description, indent)}{indent}{name}: {written};")
        else:
            lines.append(f"{indent}{name}: {_block(cast('Mapping[str, Any]', member), depth + 1)};")
    return "\n".join(["{", *lines, _INDENT * depth + "}"])


def _type(schema: Schema) -> str:
    """Return the TypeScript of a JSON Schema."""
    if "$ref" in schema:
        return _name(schema["$ref"])
    if "const" in schema or "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            return " | ".join(dict.fromkeys(_type(part) for part in schema[keyword]))
    return _NOTATIONS.get(schema.get("type", ""), _unknown)(schema)


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"[{', '.join(_type(part) for part in schema['prefixItems'])}]"
    item = _type(schema.get("items", {}))
    return f"({item})[]" if " " in item else f"{item}[]"


def _record(schema: Schema) -> str:
    """Return the type of an object with arbitrary keys. If the keys are an enumeration, some may be missing."""
    values = schema.get("additionalProperties", {})
    written = _type(cast("Schema", values)) if isinstance(values, dict) else "unknown" if values else "never"
    if "propertyNames" in schema and (key := _type(schema["propertyNames"])) != "string":
        return f"Partial<Record<{key}, {written}>>"
    return f"Record<string, {written}>"


def _unknown(_schema: Schema) -> str:
    return "unknown"


_NOTATIONS: Mapping[str, Callable[[Schema], str]] = {
    "string": lambda _: "string",
    "integer": lambda _: "number",
    "number": lambda _: "number",
    "boolean": lambda _: "boolean",
    "null": lambda _: "null",
    "array": _array,
    "object": _record,
}


def _comment(text: str | None, indent: str) -> str:
    """Return a text as a comment line."""
    return f"{indent}/** {' '.join(text.split()).replace('*/', '* /')} */\n" if text else ""


PATH = Path(__file__).with_name("app-router.d.ts")


def app_router_types() -> str:
    """Return the text of `app-router.d.ts` for the current procedures."""
    return typescript(PROCEDURES)


def write() -> Path:
    """Write `app-router.d.ts` for the current procedures, and return its path."""
    PATH.write_text(app_router_types(), encoding="utf-8")
    return PATH


if __name__ == "__main__":
    write()
