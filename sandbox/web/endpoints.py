"""Endpoints: a method, a path template and a handler. `Routes` finds the endpoint for a path."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from sandbox.model import problems
from sandbox.model.accounts import Account
from sandbox.model.audiences import Audience
from sandbox.model.member_body import schema_problem
from sandbox.model.members import Member
from sandbox.model.state import SandboxState
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

    state: SandboxState
    account: Account
    path_parameters: Mapping[str, str]
    query: Query
    body: object

    @property
    def audience(self) -> Audience:
        """The audience in the path."""
        return self.account.audience(self.path_parameters["list_id"])

    @property
    def member(self) -> Member:
        """The member in the path."""
        return self.audience.get(self.path_parameters["subscriber_hash"])

    def number(self, place: str) -> int:
        """Return a number in the path, or raise `not_found`."""
        if not self.path_parameters[place].isdecimal():
            raise problems.not_found()
        return int(self.path_parameters[place])

    def parse(self, model: type[Body]) -> Body:
        """Parse the body into a model, or raise `invalid_schema`."""
        try:
            return model.model_validate(self.body)
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
    query: frozenset[str] = frozenset()
    samples: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Match:
    """The result of routing: an endpoint, or the methods that the path allows."""

    template: str
    path_parameters: Mapping[str, str] = field(default_factory=dict[str, str])
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
            path_parameters = _path_parameters(template, path)
            if path_parameters is not None:
                return Match(template, path_parameters, endpoints.get(method), tuple(endpoints))
        return Match(UNKNOWN)


def _path_parameters(template: str, path: str) -> Mapping[str, str] | None:
    """Return the path parameters, or None if the path does not match the template."""
    names, parts = template.removeprefix("/").split("/"), path.removesuffix("/").split("/")
    if len(names) != len(parts):
        return None
    path_parameters: dict[str, str] = {}
    for name, part in zip(names, parts, strict=True):
        if name.startswith("{"):
            path_parameters[name.strip("{}")] = part
        elif name != part:
            return None
    return path_parameters
