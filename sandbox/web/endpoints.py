"""Endpoints: a method, a path template and a handler. `Routes` finds the endpoint for a path."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sandbox.model import problems
from sandbox.model.accounts import Account
from sandbox.model.audiences import Audience
from sandbox.model.entries import schema_problem
from sandbox.model.members import Member
from sandbox.model.world import World
from sandbox.web.queries import Query

UNKNOWN = "(unknown)"
"""The template under which calls to unknown routes are counted."""

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. A body of None is an empty body."""

    body: object = None
    status: int = 200


NO_CONTENT = Answer(status=204)


@dataclass(frozen=True, slots=True)
class Call:
    """A call to a route, with its account."""

    world: World
    account: Account
    places: Mapping[str, str]
    query: Query
    body: object

    @property
    def audience(self) -> Audience:
        """The audience in the path."""
        return self.account.audience(self.places["list_id"])

    @property
    def member(self) -> Member:
        """The member in the path."""
        return self.audience.get(self.places["subscriber_hash"])

    def number(self, place: str) -> int:
        """Return a number in the path, or raise `not_found`."""
        if not self.places[place].isdecimal():
            raise problems.not_found()
        return int(self.places[place])

    def read(self, form: type[Body]) -> Body:
        """Parse the body into a model, or raise `invalid_schema`."""
        try:
            return form.model_validate(self.body)
        except ValidationError as error:
            raise schema_problem(error) from None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method and a path template. `answer` runs with the sandbox locked. `prepare` runs before it and may wait.

    `takes` lists the query parameters. `lists` has one sample item for each array in the answer.
    """

    method: str
    template: str
    answer: Callable[[Call], Answer]
    prepare: Callable[[Call], Awaitable[None]] | None = None
    takes: frozenset[str] = frozenset()
    lists: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Match:
    """The result of routing: an endpoint, or the methods that the path allows."""

    template: str
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    endpoint: Endpoint | None = None
    allowed: tuple[str, ...] = ()


class Routes:
    """All endpoints by template."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Serve these endpoints."""
        self._by_template: dict[str, dict[str, Endpoint]] = defaultdict(dict)
        for endpoint in endpoints:
            self._by_template[endpoint.template][endpoint.method] = endpoint

    def match(self, method: str, path: str) -> Match:
        """Find the endpoint for a path below the root of the API."""
        for template, endpoints in self._by_template.items():
            places = _places(template, path)
            if places is not None:
                return Match(template, places, endpoints.get(method), tuple(endpoints))
        return Match(UNKNOWN)


def _places(template: str, path: str) -> Mapping[str, str] | None:
    """Return the path parameters, or None if the path does not match the template."""
    names, parts = template.removeprefix("/").split("/"), path.removesuffix("/").split("/")
    if len(names) != len(parts):
        return None
    places: dict[str, str] = {}
    for name, part in zip(names, parts, strict=True):
        if name.startswith("{"):
            places[name.strip("{}")] = part
        elif name != part:
            return None
    return places
