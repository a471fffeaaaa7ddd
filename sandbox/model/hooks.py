"""Hooks run a callback just before or just after a call is processed, for example in the middle of a push."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Callback = Callable[[], object]


class Hook(BaseModel):
    """A hook fires before or after the nth matching call, counted from the moment it is added."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Literal["before", "after"] = "before"
    method: str = Field(default="*", description="The method, as a pattern.")
    route: str = Field(default="*", description="The route, such as /lists/{list_id}, as a pattern.")
    list_id: str | None = Field(default=None, description="The audience; None is any.")
    nth: int = Field(default=1, ge=1, description="The number of the matching call.")

    def matches(self, method: str, route: str, list_id: str | None) -> bool:
        """Return whether the hook applies to a call."""
        pattern = self.route.replace("[", "[[]")
        is_there = self.list_id is None or self.list_id == list_id
        return is_there and fnmatchcase(method, self.method) and fnmatchcase(route, pattern)


@dataclass(slots=True)
class _Planned:
    hook: Hook
    callback: Callback
    remaining: int


class Hooks:
    """All hooks of a sandbox. Each fires once."""

    def __init__(self) -> None:
        """Start with no hooks."""
        self._planned: list[_Planned] = []

    def add(self, hook: Hook, callback: Callback) -> None:
        """Run a callback when the hook fires."""
        self._planned.append(_Planned(hook, callback, hook.nth))

    def clear(self) -> int:
        """Remove the hooks that have not fired, and return their number."""
        planned, self._planned = self._planned, []
        return len(planned)

    def due(self, method: str, route: str, list_id: str | None) -> tuple[list[Callback], list[Callback]]:
        """Count a call before it is processed. Return the callbacks to run before it, and those to run after it."""
        for planned in self._planned:
            planned.remaining -= planned.hook.matches(method, route, list_id)
        due = [planned for planned in self._planned if planned.remaining == 0]
        self._planned = [planned for planned in self._planned if planned.remaining > 0]
        before = [planned.callback for planned in due if planned.hook.when == "before"]
        return before, [planned.callback for planned in due if planned.hook.when == "after"]
