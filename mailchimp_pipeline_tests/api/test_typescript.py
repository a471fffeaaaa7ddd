"""The generated types match the procedures, and the compiler checks calls against them."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from api.app_router import typescript
from api.trpc import Kind, Procedure, WireModel
from mailchimp_pipeline_tests.api.node_tools import NODE, compile_types, installed
from mailchimp_pipeline_tests.api.trpc.sample import Caller, Colour, Page, returns, sample


def test_the_committed_types_are_those_of_the_procedures() -> None:
    assert (NODE / "app-router.d.ts").read_text() == typescript(sample())


def test_right_calls_compile_and_wrong_ones_do_not() -> None:
    assert compile_types() == ""


def test_a_wrong_call_is_what_the_compiler_complains_of() -> None:
    # The expected errors of wrong-calls.ts prove something only if the compiler reports them.
    scratch = installed() / "node_modules" / ".scratch"
    scratch.mkdir(exist_ok=True)
    (scratch / "bare.ts").write_text((NODE / "wrong-calls.ts").read_text().replace("@ts-expect-error", ""))
    (scratch / "app-router.d.ts").write_text(typescript(sample()))
    (scratch / "tsconfig.json").write_text('{"extends": "../../tsconfig.json", "files": ["bare.ts"]}')
    complaints = compile_types(scratch).splitlines()
    expected = (NODE / "wrong-calls.ts").read_text().count("// @ts-expect-error")
    assert len([line for line in complaints if "error TS" in line]) == expected


def test_the_lock_file_names_no_host() -> None:
    assert "://" not in (NODE / "package-lock.json").read_text()


class Cat(WireModel):
    """A model that refers to itself."""

    kind: Literal["cat"] = "cat"
    kittens: "tuple[Cat, ...]" = ()


class Dog(WireModel):
    kind: Literal["dog"] = "dog"


class Nothing(WireModel):
    """A model without fields."""


@pytest.mark.parametrize(
    ("output", "written"),
    [
        (str | int, "string | number"),
        (list[str | None], "(string | null)[]"),
        (tuple[int, str], "[number, string]"),
        (dict[str, list[bool]], "Record<string, boolean[]>"),
        (dict[Colour, float], "Partial<Record<Colour, number>>"),
        (dict[str, Any], "Record<string, unknown>"),
        (Any, "unknown"),
        (list[Any], "unknown[]"),
        (Literal["a", 1], '"a" | 1'),
        (Annotated[Cat | Dog, Field(discriminator="kind")], "Cat | Dog"),
        (Page | None, "Page | null"),
    ],
)
def test_a_type_is_written_as_typescript_has_it(output: object, written: str) -> None:
    assert f"  given: Query<void, {written}>;" in typescript([returns(output, None)])


def test_a_model_may_refer_to_itself() -> None:
    assert "export interface Cat {\n  kind: " in typescript([returns(Cat, None)])
    assert "  kittens: Cat[];\n" in typescript([returns(Cat, None)])


def test_a_model_without_fields_takes_none() -> None:
    assert "export type Nothing = Record<string, never>;" in typescript([returns(Nothing, None)])


def test_a_model_that_is_taken_and_returned_has_two_names() -> None:
    def same(_caller: Caller, wanted: Dog) -> Dog:
        return wanted

    both = Procedure("both", Kind.MUTATION, same, Dog, None, Dog)
    written = typescript([both])
    assert "both: Mutation<DogInput, DogOutput>;" in written
    assert 'export interface DogInput {\n  kind?: "dog" | undefined;\n}' in written
    assert 'export interface DogOutput {\n  kind: "dog";\n}' in written
