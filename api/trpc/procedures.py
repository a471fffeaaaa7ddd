"""The declaration of procedures: name, kind, input, output, role and handler, checked at import.

The registry `Procedures` is used to find called procedures, and to generate types and documents. Inputs and outputs are
models in camelCase. Their JSON Schemas contain a shared model once.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, get_type_hints

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import from_json

from api.trpc.concurrency import Concurrency
from api.trpc.error_codes import bad_input
from mailchimp_pipeline.errors import PermanentError


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


UtcTime = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time, sent as ISO 8601 with `Z`. Inputs may have any time zone."""


class WireModel(BaseModel):
    """A model of inputs and outputs: camelCase in JSON, snake_case in Python. An unknown key is an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # JSON has no Infinity, but `1e999` is parsed as that.
        allow_inf_nan=False,
        from_attributes=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        # The docstring of a field becomes its description in the TypeScript types and in OpenAPI.
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )


RESERVED = frozenset({"then", "call", "apply"})
"""Names that a JavaScript client cannot call: its proxies would be used as promises or functions."""

_SEGMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# A long integer, which JavaScript rounds, NaN or Infinity, which JSON lacks. A match may be inside a string.
_SUSPECT = re.compile(rb"(?:^|[\[:,])-?(?:\d{16}|NaN|Infinity)")

_MAX_SAFE_INTEGER = 2**53 - 1


class DeclarationError(PermanentError):
    """The declaration of a procedure is invalid."""


class UnsafeOutputError(PermanentError):
    """A JavaScript client would read the output as another value."""


class Kind(StrEnum):
    """A query reads, a mutation changes."""

    QUERY = "query"
    MUTATION = "mutation"


class Role(StrEnum):
    """The role of a caller. Each role includes the rights of the ones before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    def covers(self, needed: "Role") -> bool:
        """Return whether this role includes `needed`."""
        return _RANK[self] >= _RANK[needed]


_RANK = {role: rank for rank, role in enumerate(Role)}


class Identified(Protocol):
    """What a context must have: the organisation and the role of the caller."""

    @property
    def organisation_id(self) -> str:
        """The organisation whose rows the caller sees."""
        ...

    @property
    def role(self) -> Role:
        """The role of the caller: viewer, editor or admin."""
        ...


ContextT = TypeVar("ContextT", bound=Identified)
ParametersT = ParamSpec("ParametersT")
OutputT = TypeVar("OutputT")
Handler = Callable[Concatenate[ContextT, ParametersT], OutputT]
Declare = Callable[[Handler[ContextT, ParametersT, OutputT]], Handler[ContextT, ParametersT, OutputT]]


@dataclass(frozen=True, slots=True)
class Procedure:
    """The declaration of one procedure. `input` and `output` are types; `input` is None if the procedure takes none.

    If `role` is None, any caller may call it. The handler gets the context and, if there is an input, the validated
    input. `concurrency` limits the calls of an expensive procedure, in addition to the limit for all calls.
    """

    path: str
    kind: Kind
    handler: Callable[..., object]
    output: Any
    role: Role | None
    input: Any = None
    concurrency: Concurrency | None = None
    _reader: TypeAdapter[object] | None = field(init=False, repr=False, compare=False)
    _writer: TypeAdapter[object] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Build the validator and the serializer. Raises `DeclarationError` if the path or output is not allowed."""
        for segment in self.path.split("."):
            if not _SEGMENT.fullmatch(segment) or segment in RESERVED:
                raise DeclarationError(f"{self.path!r} cannot be a procedure's path: rename its part {segment!r}")
        writer = TypeAdapter[object](self.output)
        if _holds_naive_time(writer.core_schema):
            raise DeclarationError(f"{self.path} returns a datetime that may lack a zone: declare it as UtcTime")
        object.__setattr__(self, "_writer", writer)
        object.__setattr__(self, "_reader", None if self.input is None else TypeAdapter[object](self.input))

    @property
    def input_adapter(self) -> TypeAdapter[object] | None:
        """The validator of the input, or None if the procedure has no input."""
        return self._reader

    @property
    def output_adapter(self) -> TypeAdapter[object]:
        """The serializer of the output."""
        return self._writer

    @property
    def description(self) -> str:
        """The first paragraph of the handler's docstring."""
        return (inspect.getdoc(self.handler) or "").split("\n\n")[0]

    def call(self, context: object, input_text: Callable[[], bytes]) -> bytes:
        """Run the handler, and return its output as JSON.

        `input_text` returns the input as JSON. It is called only if the procedure has an input.
        """
        if self._reader is None:
            return self._write(self.handler(context))
        return self._write(self.handler(context, self._read(self._reader, input_text())))

    @staticmethod
    def _read(reader: TypeAdapter[object], text: bytes) -> object:
        """Return the validated input. Validation is strict, as with zod, and accepts only camelCase names."""
        try:
            return reader.validate_json(text, strict=True, by_alias=True, by_name=False)
        except ValidationError as invalid:
            raise bad_input(invalid) from None

    def _write(self, output: object) -> bytes:
        """Return the output as JSON. Raises if it does not match the declared type.

        Raises `UnsafeOutputError` if it has an integer that JavaScript would round.
        """
        text = self._writer.dump_json(output, by_alias=True, warnings="error")
        if _SUSPECT.search(text):
            _refuse_unsafe_numbers(from_json(text, allow_inf_nan=False))
        return text


class Router(Generic[ContextT]):
    """Collects the procedures under a path, such as `mailchimp.segments`.

    The annotations of a handler are the types of its input and output.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.procedures: list[Procedure] = []

    def query(
        self, name: str, *, role: Role | None = Role.VIEWER, concurrency: Concurrency | None = None
    ) -> Declare[ContextT, ParametersT, OutputT]:
        """Declare the decorated function as a query."""
        return self._declare(name, Kind.QUERY, role, concurrency)

    def mutation(self, name: str, *, role: Role | None = Role.EDITOR) -> Declare[ContextT, ParametersT, OutputT]:
        """Declare the decorated function as a mutation."""
        return self._declare(name, Kind.MUTATION, role)

    def _declare(
        self, name: str, kind: Kind, role: Role | None, concurrency: Concurrency | None = None
    ) -> Declare[ContextT, ParametersT, OutputT]:
        def declare(
            handler: Handler[ContextT, ParametersT, OutputT],
        ) -> Handler[ContextT, ParametersT, OutputT]:
            path = f"{self.path}.{name}"
            input_type, output_type = _types(path, handler)
            self.procedures.append(Procedure(path, kind, handler, output_type, role, input_type, concurrency))
            return handler

        return declare


class Procedures(Generic[ContextT]):
    """All procedures of a server by path, in the order of their declaration.

    Raises `DeclarationError` if a path is declared twice, or is also the path of a router.
    """

    def __init__(self, *routers: Router[ContextT] | Procedure) -> None:
        self._by_path: dict[str, Procedure] = {}
        for router in routers:
            for procedure in router.procedures if isinstance(router, Router) else (router,):
                if procedure.path in self._by_path:
                    raise DeclarationError(f"{procedure.path} is declared twice: rename one of the two")
                self._by_path[procedure.path] = procedure
        for path in self._by_path:
            self._refuse_router_of_same_name(path)

    def get(self, path: str) -> Procedure | None:
        """Return the procedure at a dotted path, or None if there is none."""
        return self._by_path.get(path)

    def __iter__(self) -> Iterator[Procedure]:
        return iter(self._by_path.values())

    def _refuse_router_of_same_name(self, path: str) -> None:
        parent = path
        while "." in parent:
            parent = parent.rpartition(".")[0]
            if parent in self._by_path:
                raise DeclarationError(f"{parent} is a procedure and holds {path}: rename one of the two")


def _types(path: str, handler: Callable[..., object]) -> tuple[Any, Any]:
    """Return the types of the input (None if there is none) and of the output, from the handler's annotations."""
    hints = get_type_hints(handler, include_extras=True)
    parameters = list(inspect.signature(handler).parameters)
    if not 1 <= len(parameters) <= 2 or "return" not in hints or any(name not in hints for name in parameters[1:]):
        raise DeclarationError(f"{path} must be declared as (context) or (context, input: Type) -> Type")
    return (hints[parameters[1]] if len(parameters) == 2 else None), hints["return"]


def _holds_naive_time(schema: object) -> bool:
    """Return whether a pydantic core schema serializes a datetime that may lack a time zone."""
    mappings = (cast("dict[str, object]", node) for node in _nodes(schema) if isinstance(node, dict))
    return any(node.get("type") == "datetime" and node.get("tz_constraint") != "aware" for node in mappings)


def _refuse_unsafe_numbers(output: object) -> None:
    """Raise `UnsafeOutputError` for an integer that JavaScript would round."""
    if any(isinstance(node, int) and abs(node) > _MAX_SAFE_INTEGER for node in _nodes(output)):
        raise UnsafeOutputError("An output holds an integer beyond 2**53 - 1: declare the field as str")


def _nodes(value: object) -> Iterator[object]:
    """Yield a value and all values in it."""
    yield value
    if isinstance(value, dict):
        held = cast("dict[str, object]", value).values()
    else:
        held = cast("list[object]", value) if isinstance(value, list | tuple) else ()
    for part in held:
        yield from _nodes(part)


Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Schemas:
    """JSON Schemas of the inputs and outputs by procedure path, and the named models that they refer to.

    `inputs` does not have procedures without an input.
    """

    inputs: Mapping[str, Schema]
    outputs: Mapping[str, Schema]
    models: Mapping[str, Schema]


def schemas(procedures: Iterable[Procedure], ref_template: str) -> Schemas:
    """Return the procedures' schemas. `ref_template` is pydantic's, such as `#/components/schemas/{model}`."""
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
    """Return whether a schema accepts null. An input that may be null may also be left out."""
    return schema.get("type") == "null" or any(nullable(part) for part in schema.get("anyOf", ()))
