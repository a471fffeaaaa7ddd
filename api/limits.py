"""How many calls a caller, and an organisation, may make: token buckets in this process's memory.

Counted are calls, not requests, so that a batch of fifty is fifty. A caller is an actor of an organisation: a new
token begins no new bucket. Several API processes count each for itself. What does not belong here: how large a
request may be (`trpc.Limits`).
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from api.trpc import Role, TRPCError

MAX_BUCKETS = 20_000
"""Buckets that are kept; the one unused for longest goes first, and would begin anew as a full one."""


class Identified(Protocol):
    """Whoever calls, as far as the API's own parts look; a `Caller` is one, and so is what holds more than it."""

    @property
    def actor(self) -> str:
        """Who calls."""
        ...

    @property
    def organisation_id(self) -> str:
        """Whose rows are looked at."""
        ...

    @property
    def role(self) -> Role:
        """What the caller may do."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls at once, and so many a second in the long run."""

    burst: int
    per_second: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What one caller may do, and all of an organisation together."""

    caller: Rate = Rate(burst=200, per_second=20)
    organisation: Rate = Rate(burst=1000, per_second=100)


@dataclass(frozen=True, slots=True)
class _Bucket:
    level: float
    at: float

    def refilled(self, rate: Rate, now: float) -> "_Bucket":
        return _Bucket(min(rate.burst, self.level + (now - self.at) * rate.per_second), now)


class RateLimit:
    """Lets calls pass, or says how long to wait. May be used from many threads."""

    def __init__(
        self,
        rates: Rates | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_buckets: int = MAX_BUCKETS,
    ) -> None:
        self._rates = rates or Rates()
        self._clock = clock
        self._max_buckets = max_buckets
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, ...], _Bucket] = OrderedDict()

    def take(self, caller: Identified) -> None:
        """Count one call. Raises TOO_MANY_REQUESTS, and counts nothing, where either bucket is empty."""
        limits = {
            (caller.organisation_id,): self._rates.organisation,
            (caller.organisation_id, caller.actor): self._rates.caller,
        }
        with self._lock:
            now = self._clock()
            filled = {key: self._bucket(key, rate, now) for key, rate in limits.items()}
            wait = max((1 - filled[key].level) / rate.per_second for key, rate in limits.items())
            # Also those of who is refused, or trying on would be the way to be forgotten and begin anew.
            self._keep({key: _Bucket(bucket.level - (wait <= 0), now) for key, bucket in filled.items()})
        if wait <= 0:
            return
        seconds = math.ceil(wait)
        message = f"Too many calls: try again in {seconds} s"
        raise TRPCError("TOO_MANY_REQUESTS", message, retry_after=seconds)

    def _bucket(self, key: tuple[str, ...], rate: Rate, now: float) -> _Bucket:
        known = self._buckets.get(key)
        return _Bucket(rate.burst, now) if known is None else known.refilled(rate, now)

    def _keep(self, buckets: dict[tuple[str, ...], _Bucket]) -> None:
        for key, bucket in buckets.items():
            self._buckets[key] = bucket
            self._buckets.move_to_end(key)
        while len(self._buckets) > self._max_buckets:
            self._buckets.popitem(last=False)
