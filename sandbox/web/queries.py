"""Query parameters, parsed as Mailchimp parses them. The problem for an invalid query names the parameter."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from sandbox.model import problems
from sandbox.model.problems import FieldError, Problem

DEFAULT_COUNT = 10
LARGEST_COUNT = 1000

FIELDS = frozenset({"fields", "exclude_fields"})
"""The parameters of every route with partial answers."""
PAGES = FIELDS | {"count", "offset"}
"""The parameters of every listing."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")

Item = TypeVar("Item")


class Query:
    """The query parameters of one call."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        """Parse these parameters."""
        self._parameters = parameters

    def check(self, known: Collection[str]) -> None:
        """Reject parameters that the route does not know."""
        strange = [name for name in self._parameters if name not in known]
        if strange:
            raise problems.invalid_schema(
                *(FieldError(name, "Schema describes no such parameter.") for name in strange)
            )

    def text(self, name: str) -> str | None:
        """Return a parameter, or None if it is missing or blank."""
        return self._parameters.get(name) or None

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """Return a parameter that must be one of the choices."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise _rejection(name, "The value you selected is not a valid choice.")
        return value

    def flag(self, name: str) -> bool:
        """Return a boolean parameter; missing is false."""
        value = (self.text(name) or "false").lower()
        if value not in {"true", "false", "1", "0"}:
            raise _rejection(name, "This value should be of type boolean.")
        return value in {"true", "1"}

    def moment(self, name: str) -> datetime | None:
        """Return a parameter that is a time, in UTC by default."""
        value = self.text(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value if _MOMENT.fullmatch(value) else "")
        except ValueError:
            raise _rejection(name, "This value is not a valid datetime.") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def is_descending(self) -> bool:
        """Return whether `sort_dir` is DESC."""
        return self.choice("sort_dir", ("ASC", "DESC")) == "DESC"

    def page(self, found: list[Item]) -> list[Item]:
        """Return the requested page."""
        offset, count = self._number("offset", 0), self._number("count", DEFAULT_COUNT)
        if count > LARGEST_COUNT:
            raise _rejection("count", f"This value should be {LARGEST_COUNT} or less.")
        return found[offset : offset + count]

    def _number(self, name: str, default: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not value.isdecimal():
            raise _rejection(name, "This value should be of type integer, 0 or more.")
        return int(value)


def _rejection(name: str, message: str) -> Problem:
    return problems.invalid_schema(FieldError(name, message))
