"""Injected faults: for a number of matching requests, for a share of them, or for all (an outage)."""

from collections import Counter
from enum import StrEnum
from fnmatch import fnmatchcase
from random import Random
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class FaultKind(StrEnum):
    """The failure that replaces or delays an answer."""

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
    """The correct answer, after `delay_seconds`."""
    HELD = "held"
    """The correct answer, after the fault is removed from the plan."""
    MALFORMED = "malformed"
    """200 with the first half of the correct answer."""
    EMPTY = "empty"
    """200 with an empty body."""


_CORRECT = frozenset({FaultKind.LATE, FaultKind.HELD})
_WITH_CORRECT_BODY = _CORRECT | {FaultKind.MALFORMED}
_ANSWERED = _WITH_CORRECT_BODY | {FaultKind.EMPTY}


class Fault(BaseModel):
    """A fault and the requests that it affects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    method: str = Field(default="*", description="The method, as a pattern.")
    route: str = Field(default="*", description="The route, such as /lists/{list_id}, as a pattern.")
    share: float = Field(default=1, ge=0, le=1, description="The share of matching requests that fail.")
    times: int | None = Field(default=None, ge=1, description="The maximum number of failures; None is unlimited.")
    skip: int = Field(default=0, ge=0, description="The number of matching requests before the first failure.")
    applied: bool | None = Field(
        default=None,
        description="Whether the request is processed. By default, requests that are answered with 200 are.",
    )
    delay_seconds: float = Field(default=0, ge=0, description="The delay of the failure.")
    retry_after_seconds: int | None = Field(default=None, description="The Retry-After header of the answer.")

    @model_validator(mode="after")
    def _check_applied(self) -> Self:
        """Reject a kind that sends the correct answer, or half of it, if the request is not processed."""
        if self.applied is False and self.kind in _WITH_CORRECT_BODY:
            msg = f"A fault of kind {self.kind} processes the request. Omit `applied`, or use another kind."
            raise ValueError(msg)
        return self

    @property
    def is_processed(self) -> bool:
        """Whether the request is processed although its answer fails."""
        return self.kind in _ANSWERED if self.applied is None else self.applied

    @property
    def is_eventually_correct(self) -> bool:
        """Whether the request gets the correct answer, only later."""
        return self.kind in _CORRECT

    def matches(self, method: str, route: str) -> bool:
        """Return whether the fault may affect such a request."""
        pattern = self.route.replace("[", "[[]")
        return fnmatchcase(method, self.method) and fnmatchcase(route, pattern)


class FaultPlan:
    """The planned faults in order. The first matching fault affects a request."""

    def __init__(self, seed: int) -> None:
        """Start with no faults. `seed` seeds the generator for `share`."""
        self._random = Random(seed)  # noqa: S311 -- repeatable on purpose
        self._planned: list[_Planned] = []
        self.outage: Fault | None = None
        """Affects every request and takes precedence over planned faults."""
        self.counts: Counter[FaultKind] = Counter()
        """The number of faults by kind."""

    def add(self, fault: Fault) -> None:
        """Plan another fault."""
        self._planned.append(_Planned(fault))

    def clear(self) -> None:
        """Remove all faults and end the outage."""
        self._planned.clear()
        self.outage = None

    def is_planned(self, fault: Fault) -> bool:
        """Return whether this fault is in the plan, even if it affects no more requests."""
        return fault is self.outage or any(fault is planned.fault for planned in self._planned)

    def select_for(self, method: str, route: str) -> Fault | None:
        """Return and count the fault for this request, or return None."""
        fault = self._matching(method, route)
        if fault is not None:
            self.counts[fault.kind] += 1
        return fault

    def _matching(self, method: str, route: str) -> Fault | None:
        if self.outage is not None:
            return self.outage
        for planned in self._planned:
            if planned.fault.matches(method, route) and planned.applies(self._random):
                return planned.fault
        return None


class _Planned:
    """A planned fault with its remaining number of uses."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._to_skip = fault.skip
        self._remaining = fault.times

    def applies(self, random: Random) -> bool:
        if self._remaining == 0:
            return False
        if self._to_skip:
            self._to_skip -= 1
            return False
        if random.random() >= self.fault.share:
            return False
        if self._remaining is not None:
            self._remaining -= 1
        return True
