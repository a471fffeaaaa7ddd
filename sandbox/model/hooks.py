"""Hooks: what somebody does just before or just after a call is carried out, such as in the middle of a push."""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Act = Callable[[], object]


class Hook(BaseModel):
    """The moment: before or after the nth call of a kind is carried out, counted from when the hook is added."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Literal["before", "after"] = "before"
    method: str = Field(default="*", description="The method of the call; a pattern.")
    route: str = Field(default="*", description="The route of the call, such as /lists/{list_id}; a pattern.")
    list_id: str | None = Field(default=None, description="The audience that the call is about; any if None.")
    nth: int = Field(default=1, ge=1, description="How many such calls it takes.")

    def matches(self, method: str, route: str, list_id: str | None) -> bool:
        """Tell whether a call is of this kind."""
        pattern = self.route.replace("[", "[[]")
        is_there = self.list_id is None or self.list_id == list_id
        return is_there and fnmatchcase(method, self.method) and fnmatchcase(route, pattern)


@dataclass(slots=True)
class _Planned:
    hook: Hook
    act: Act
    left: int


class Hooks:
    """All hooks of a sandbox. Each comes once."""

    def __init__(self) -> None:
        """Start without any."""
        self._planned: list[_Planned] = []

    def add(self, hook: Hook, act: Act) -> None:
        """Do something at a moment to come."""
        self._planned.append(_Planned(hook, act, hook.nth))

    def clear(self) -> int:
        """Forget the hooks that have not come; return how many there were."""
        planned, self._planned = self._planned, []
        return len(planned)

    def due(self, method: str, route: str, list_id: str | None) -> tuple[list[Act], list[Act]]:
        """Count a call that is about to be carried out; return what is done before it, and what after it."""
        for planned in self._planned:
            planned.left -= planned.hook.matches(method, route, list_id)
        due = [planned for planned in self._planned if planned.left == 0]
        self._planned = [planned for planned in self._planned if planned.left > 0]
        before = [planned.act for planned in due if planned.hook.when == "before"]
        return before, [planned.act for planned in due if planned.hook.when == "after"]
