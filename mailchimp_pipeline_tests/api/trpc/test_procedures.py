"""Declarations of procedures, valid and invalid."""

from datetime import datetime
from typing import Any

import pytest
from pydantic import AwareDatetime
from starlette.routing import NoMatchFound

from api.trpc import DeclarationError, Kind, Procedure, Procedures, Role, Router, UtcTime
from api.trpc.server import PrefixRoute
from mailchimp_pipeline_tests.api.trpc.sample import Caller, EchoInput, Page, PageInput, returns, sample


def a_procedure(path: str, output: Any = int) -> Procedure:  # noqa: ANN401 - any type may be declared
    return returns(output, 1, path)


def test_the_annotations_of_a_handler_are_its_types() -> None:
    page, nothing = sample().get("test.page"), sample().get("test.nothing")
    assert page is not None
    assert nothing is not None
    assert (page.input, page.output, page.role, page.kind) == (PageInput | None, Page, Role.VIEWER, Kind.QUERY)
    assert (nothing.input, nothing.output) == (None, type(None))


def test_a_handler_stays_the_function_it_was() -> None:
    router = Router[Caller]("a")

    @router.mutation("b")
    def double(_caller: Caller, wanted: int) -> int:
        return 2 * wanted

    assert double(Caller(Role.VIEWER), 2) == 4
    assert router.procedures[0].role is Role.EDITOR


def test_the_description_is_the_first_paragraph_of_the_docstring() -> None:
    echo = sample().get("test.echo")
    assert echo is not None
    assert echo.description == "Return the input."


def test_each_role_covers_those_before_it() -> None:
    covered = [[role.covers(needed) for needed in Role] for role in (Role.VIEWER, Role.EDITOR, Role.ADMIN)]
    assert covered == [[True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.parametrize("path", ["a.then", "call", "apply.b", "a.", "", "a,b", "a/b", "a-b", "1a", "ä"])
def test_a_path_no_client_can_write_is_refused(path: str) -> None:
    with pytest.raises(DeclarationError, match="rename its part"):
        a_procedure(path)


@pytest.mark.parametrize("paths", [("a.b", "a.b"), ("a.b", "a.b.c"), ("a.b.c.d", "a.b")])
def test_a_name_is_a_procedure_or_a_router(paths: tuple[str, str]) -> None:
    with pytest.raises(DeclarationError, match="rename one of the two"):
        Procedures(*(a_procedure(path) for path in paths))


@pytest.mark.parametrize("output", [datetime, list[datetime | None], dict[str, tuple[datetime, int]]])
def test_a_time_that_may_lack_a_zone_is_refused(output: object) -> None:
    with pytest.raises(DeclarationError, match="declare it as UtcTime"):
        a_procedure("a", output)


@pytest.mark.parametrize("output", [AwareDatetime, UtcTime, list[UtcTime | None], EchoInput, object])
def test_a_time_with_a_zone_is_taken(output: object) -> None:
    assert a_procedure("a", output).output is output


def without_context() -> int:
    """A handler without a context parameter."""
    return 1


def without_output(_caller: Caller):
    """A handler without a return type."""


# pyright reports the errors that the declaration must reject
def without_input_type(_caller: Caller, _wanted) -> int:  # pyright: ignore[reportMissingParameterType, reportUnknownParameterType]
    """A handler without an input type."""
    return 1


def with_two_inputs(_caller: Caller, _wanted: int, _more: int) -> int:
    """A handler with an additional parameter."""
    return 1


MALFORMED: list[Any] = [without_context, without_output, without_input_type, with_two_inputs]


@pytest.mark.parametrize("handler", MALFORMED)
def test_a_handler_of_another_form_is_refused(handler: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(DeclarationError, match="must be declared as"):
        Router[Caller]("a").query("b")(handler)


def test_the_route_names_no_url() -> None:
    async def app(*_anything: object) -> None:
        """Return nothing."""

    with pytest.raises(NoMatchFound):
        PrefixRoute("/api/trpc", app).url_path_for("anything")
