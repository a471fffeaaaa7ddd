"""What a route of the API is: a method, a template, and what answers a call; and how a path finds its route.

What does not belong here: the routes themselves, and what stands before them all (`gate`).
"""

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
"""The template that calls to no route are counted under."""

Body = TypeVar("Body", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers; a body of None is none at all."""

    body: object = None
    status: int = 200


NO_CONTENT = Answer(status=204)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an account to a route."""

    world: World
    account: Account
    places: Mapping[str, str]
    query: Query
    body: object

    @property
    def audience(self) -> Audience:
        """The audience the path names."""
        return self.account.audience(self.places["list_id"])

    @property
    def member(self) -> Member:
        """The member the path names."""
        return self.audience.get(self.places["subscriber_hash"])

    def number(self, place: str) -> int:
        """Return a number in the path; what is none names nothing."""
        if not self.places[place].isdecimal():
            raise problems.not_found()
        return int(self.places[place])

    def read(self, form: type[Body]) -> Body:
        """Return the body in the form it must have."""
        try:
            return form.model_validate(self.body)
        except ValidationError as error:
            raise schema_problem(error) from None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route. `answer` runs with the world locked; `prepare` before that, and may wait.

    `takes` names the parameters of its query, and `lists` has one entry of each array that its answer lists.
    """

    method: str
    template: str
    answer: Callable[[Call], Answer]
    prepare: Callable[[Call], Awaitable[None]] | None = None
    takes: frozenset[str] = frozenset()
    lists: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True, slots=True)
class Match:
    """What a method and a path lead to: an endpoint, or the methods the path would take."""

    template: str
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    endpoint: Endpoint | None = None
    allowed: tuple[str, ...] = ()


class Routes:
    """All endpoints, by their templates."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Serve these endpoints."""
        self._by_template: dict[str, dict[str, Endpoint]] = defaultdict(dict)
        for endpoint in endpoints:
            self._by_template[endpoint.template][endpoint.method] = endpoint

    def match(self, method: str, path: str) -> Match:
        """Return where a path leads, below the root of the API."""
        for template, endpoints in self._by_template.items():
            places = _places(template, path)
            if places is not None:
                return Match(template, places, endpoints.get(method), tuple(endpoints))
        return Match(UNKNOWN)


def _places(template: str, path: str) -> Mapping[str, str] | None:
    """Return what stands in the path for each name in the template, None where they do not fit."""
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
