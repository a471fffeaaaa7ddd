"""Addresses that Mailchimp temporarily rejects because of too many signups."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from sandbox.model import problems
from sandbox.model.problems import Problem


class SignupLimitKind(StrEnum):
    """Mailchimp's two texts for such a rejection."""

    MANY_LISTS = "many_lists"
    """`… has signed up to a lot of lists very recently; we're not allowing more signups for now`."""
    MANY_REQUESTS = "many_requests"
    """`… has too many recent signup requests`."""


_PROBLEMS: Mapping[SignupLimitKind, Callable[[str], Problem]] = {
    SignupLimitKind.MANY_LISTS: problems.too_many_signups,
    SignupLimitKind.MANY_REQUESTS: problems.too_many_requests,
}


class SignupLimit(BaseModel):
    """A limit. It ends for each address after `tries`, and for all addresses after `seconds` by Mailchimp's clock."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    addresses: frozenset[str] | None = Field(default=None, description="The rejected addresses; None is all.")
    kind: SignupLimitKind = SignupLimitKind.MANY_LISTS
    tries: int | None = Field(
        default=None, ge=1, description="The number of rejections of each address; None is unlimited."
    )
    seconds: float | None = Field(
        default=None, gt=0, description="The duration; None lasts until `lift_signup_limits`."
    )


class SignupLimits:
    """All signup limits of a sandbox."""

    def __init__(self) -> None:
        """Start with no limits."""
        self._planned: list[_Planned] = []

    def add(self, limit: SignupLimit, now: datetime) -> None:
        """Add a limit that starts now."""
        self._planned.append(_Planned(limit, now))

    def clear(self) -> None:
        """Remove all limits."""
        self._planned.clear()

    def check(self, address: str, now: datetime) -> None:
        """Reject the signup if a limit applies to the address."""
        for planned in self._planned:
            if planned.rejects(address.lower(), now):
                raise _PROBLEMS[planned.limit.kind](address)


class _Planned:
    """A limit with its number of rejections by address."""

    def __init__(self, limit: SignupLimit, now: datetime) -> None:
        self.limit = limit
        self._addresses = None if limit.addresses is None else {address.lower() for address in limit.addresses}
        self._until = None if limit.seconds is None else now + timedelta(seconds=limit.seconds)
        self._tries = Counter[str]()

    def rejects(self, address: str, now: datetime) -> bool:
        """Return whether to reject the address, and count the rejection."""
        if self._addresses is not None and address not in self._addresses:
            return False
        if self._until is not None and now >= self._until:
            return False
        if self.limit.tries is not None and self._tries[address] >= self.limit.tries:
            return False
        self._tries[address] += 1
        return True
