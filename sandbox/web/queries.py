"""The query of a call, read as Mailchimp reads it; what it cannot read is a problem that names the parameter.

What does not belong here: what a route makes of it.
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TypeVar

from sandbox.model import problems
from sandbox.model.problems import FieldError, Problem

DEFAULT_COUNT = 10
LARGEST_COUNT = 1000

FIELDS = frozenset({"fields", "exclude_fields"})
"""Parameters of every route that shows something in parts."""
PAGES = FIELDS | {"count", "offset"}
"""Parameters of every listing."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?")

Item = TypeVar("Item")


class Query:
    """The parameters of one call."""

    def __init__(self, parameters: Mapping[str, str]) -> None:
        """Read from these, each of which is there once."""
        self._parameters = parameters

    def check(self, known: Collection[str]) -> None:
        """Refuse parameters that the route does not know."""
        strange = [name for name in self._parameters if name not in known]
        if strange:
            raise problems.invalid_schema(
                *(FieldError(name, "Schema describes no such parameter.") for name in strange)
            )

    def text(self, name: str) -> str | None:
        """Return a parameter as it is, None where it is not given or blank."""
        return self._parameters.get(name) or None

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """Return a parameter that must be one of the choices."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise _refusal(name, "The value you selected is not a valid choice.")
        return value

    def flag(self, name: str) -> bool:
        """Return whether a parameter says yes; one that is not given says no."""
        value = (self.text(name) or "false").lower()
        if value not in {"true", "false", "1", "0"}:
            raise _refusal(name, "This value should be of type boolean.")
        return value in {"true", "1"}

    def moment(self, name: str) -> datetime | None:
        """Return a parameter that is a time; one without a zone is in UTC."""
        value = self.text(name)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value if _MOMENT.fullmatch(value) else "")
        except ValueError:
            raise _refusal(name, "This value is not a valid datetime.") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def is_descending(self) -> bool:
        """Return the direction asked for."""
        return self.choice("sort_dir", ("ASC", "DESC")) == "DESC"

    def page(self, found: list[Item]) -> list[Item]:
        """Return the page asked for."""
        offset, count = self._number("offset", 0), self._number("count", DEFAULT_COUNT)
        if count > LARGEST_COUNT:
            raise _refusal("count", f"This value should be {LARGEST_COUNT} or less.")
        return found[offset : offset + count]

    def _number(self, name: str, default: int) -> int:
        value = self.text(name)
        if value is None:
            return default
        if not value.isdecimal():
            raise _refusal(name, "This value should be of type integer, 0 or more.")
        return int(value)


def _refusal(name: str, message: str) -> Problem:
    return problems.invalid_schema(FieldError(name, message))
