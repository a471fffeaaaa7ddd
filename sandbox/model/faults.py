"""Failures on demand: for the next so many matching requests, for a share of them, or for all (an outage).

What does not belong here: what a failure looks like on the wire (`web.failures`).
"""

from collections import Counter
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FaultKind(StrEnum):
    """What a request gets instead of, or on top of, its answer."""

    THROTTLED = "throttled"
    """429 without a body."""
    BLOCKED = "blocked"
    """403 without a body."""
    BROKEN = "broken"
    """500 with a problem document."""
    BAD_GATEWAY = "bad_gateway"
    """502 with a page of HTML."""
    UNAVAILABLE = "unavailable"
    """503 with a page of HTML."""
    CUT = "cut"
    """The connection ends without an answer."""
    LATE = "late"
    """The right answer, after `delay_seconds`."""
    HELD = "held"
    """The right answer, once the fault is no longer planned."""
    MALFORMED = "malformed"
    """200 with half of the right answer."""
    EMPTY = "empty"
    """200 with no body."""


_RIGHT = frozenset({FaultKind.LATE, FaultKind.HELD})
_OF_THE_RIGHT = _RIGHT | {FaultKind.MALFORMED}
_ANSWERED = _OF_THE_RIGHT | {FaultKind.EMPTY}


class Fault(BaseModel):
    """One failure and whom it befalls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    method: str = Field(default="*", description="The method it befalls; a pattern.")
    route: str = Field(default="*", description="The route it befalls, such as /lists/{list_id}; a pattern.")
    share: float = Field(default=1, ge=0, le=1, description="The share of matching requests it befalls.")
    times: int | None = Field(default=None, ge=1, description="How often it happens at most; without end if None.")
    skip: int = Field(default=0, ge=0, description="How many matching requests pass before the first.")
    applied: bool | None = Field(
        default=None,
        description="Whether the request is carried out all the same; by default where it is answered with 200.",
    )
    delay_seconds: float = Field(default=0, ge=0, description="How long the failure takes.")
    retry_after_seconds: int | None = Field(default=None, description="Retry-After of the answer.")

    @model_validator(mode="after")
    def _has_an_answer(self) -> Self:
        """Refuse a right answer, or half of one, to a request that was not carried out."""
        if self.applied is False and self.kind in _OF_THE_RIGHT:
            msg = f"A fault of kind {self.kind} is applied; leave `applied` out, or use another kind."
            raise ValueError(msg)
        return self

    @property
    def carries_out(self) -> bool:
        """Whether the request is carried out although its answer fails."""
        return self.kind in _ANSWERED if self.applied is None else self.applied

    @property
    def is_right_in_the_end(self) -> bool:
        """Whether the request gets its right answer, only later."""
        return self.kind in _RIGHT

    def matches(self, method: str, route: str) -> bool:
        """Whether the fault may befall such a request."""
        pattern = self.route.replace("[", "[[]")
        return fnmatchcase(method, self.method) and fnmatchcase(route, pattern)


class FaultPlan:
    """All faults that are planned, in order: the first that strikes is the one that happens."""

    def __init__(self, seed: int) -> None:
        """Plan nothing; shares are drawn from a generator with this seed."""
        self._random = Random(seed)  # noqa: S311 -- repeatable on purpose
        self._planned: list[_Planned] = []
        self.outage: Fault | None = None
        """Befalls every request, before all that is planned."""
        self.struck: Counter[FaultKind] = Counter()
        """How often each kind happened."""

    def add(self, fault: Fault) -> None:
        """Plan one more fault."""
        self._planned.append(_Planned(fault))

    def clear(self) -> None:
        """Plan nothing any more."""
        self._planned.clear()
        self.outage = None

    def is_planned(self, fault: Fault) -> bool:
        """Whether this very fault is still there, though perhaps it strikes nobody any more."""
        return fault is self.outage or any(fault is planned.fault for planned in self._planned)

    def strike(self, method: str, route: str) -> Fault | None:
        """Return the fault that befalls this request, if any, and count it."""
        fault = self._befalling(method, route)
        if fault is not None:
            self.struck[fault.kind] += 1
        return fault

    def _befalling(self, method: str, route: str) -> Fault | None:
        if self.outage is not None:
            return self.outage
        for planned in self._planned:
            if planned.fault.matches(method, route) and planned.strikes(self._random):
                return planned.fault
        return None


class _Planned:
    """A fault with what is left of it."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._passing = fault.skip
        self._left = fault.times

    def strikes(self, random: Random) -> bool:
        if self._left == 0:
            return False
        if self._passing:
            self._passing -= 1
            return False
        if random.random() >= self.fault.share:
            return False
        if self._left is not None:
            self._left -= 1
        return True
