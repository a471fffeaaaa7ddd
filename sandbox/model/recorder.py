"""Request counts by account and route, and batch counts by address.

Addresses are kept as hashes.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict


class RouteCount(BaseModel):
    """The calls to one route. Status 0 counts cut connections."""

    model_config = ConfigDict(frozen=True)

    method: str
    route: str
    calls: int
    first_at: datetime
    last_at: datetime
    answers: dict[int, int]


class Traffic(BaseModel):
    """The traffic of one account, or of all accounts.

    `contacts_received` counts contacts in batches, `contacts_processed` those in processed batches.
    `peak_connections` is the highest number of concurrent calls, including rejected ones.
    """

    model_config = ConfigDict(frozen=True)

    calls: int = 0
    contacts_received: int = 0
    contacts_processed: int = 0
    peak_connections: int = 0
    first_call_at: datetime | None = None
    last_call_at: datetime | None = None
    routes: tuple[RouteCount, ...] = ()

    def calls_to(self, method: str, route: str) -> int:
        """Return the number of calls to one route, such as POST /lists/{list_id}."""
        return sum(count.calls for count in self.routes if (count.method, count.route) == (method, route))

    def answers(self, status: int) -> int:
        """Return the number of answers with one status."""
        return sum(count.answers.get(status, 0) for count in self.routes)


class Counts(BaseModel):
    """All traffic since the start or the last reset. Calls without a valid key are in `total` only."""

    model_config = ConfigDict(frozen=True)

    total: Traffic = Traffic()
    accounts: dict[str, Traffic] = {}


@dataclass(slots=True)
class _Route:
    first_at: datetime
    last_at: datetime
    calls: int = 0
    answers: Counter[int] = field(default_factory=Counter[int])


class CountedCall:
    """A counted call. Its answer is counted later."""

    def __init__(self, counts: "list[_Route]") -> None:
        """Count the answer in these counts."""
        self._counts = counts

    def count_answer(self, status: int) -> None:
        """Count the answer by status."""
        for count in self._counts:
            count.answers[status] += 1


class _RunningCounts:
    """The current counts of one account, or of all."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], _Route] = {}
        self.received = 0
        self.processed = 0
        self.peak = 0

    def traffic(self) -> Traffic:
        routes = self.routes.values()
        return Traffic(
            calls=sum(route.calls for route in routes),
            contacts_received=self.received,
            contacts_processed=self.processed,
            peak_connections=self.peak,
            first_call_at=min((route.first_at for route in routes), default=None),
            last_call_at=max((route.last_at for route in routes), default=None),
            routes=tuple(_count(method, name, route) for (method, name), route in self.routes.items()),
        )


class Recorder:
    """The request counts. They only increase."""

    def __init__(self) -> None:
        """Start at zero."""
        self._total = _RunningCounts()
        self._accounts: dict[str, _RunningCounts] = defaultdict(_RunningCounts)
        self._sent: dict[str, Counter[str]] = defaultdict(Counter[str])
        self._processed: dict[str, Counter[str]] = defaultdict(Counter[str])

    def count_call(self, account_id: str | None, method: str, route: str, now: datetime) -> CountedCall:
        """Count a call."""
        counts = [
            running.routes.setdefault((method, route), _Route(now, now)) for running in self._running_counts(account_id)
        ]
        for count in counts:
            count.calls += 1
            count.last_at = now
        return CountedCall(counts)

    def record_concurrency(self, account_id: str, calls: int) -> None:
        """Record the number of concurrent calls of an account."""
        for running in self._running_counts(account_id):
            running.peak = max(running.peak, calls)

    def count_received(self, account_id: str, list_id: str, hashes: Sequence[str]) -> None:
        """Count the contacts of a received batch."""
        self._sent[list_id].update(hashes)
        for running in self._running_counts(account_id):
            running.received += len(hashes)

    def count_processed(self, account_id: str, list_id: str, hashes: Sequence[str]) -> None:
        """Count the contacts of a processed batch."""
        self._processed[list_id].update(hashes)
        for running in self._running_counts(account_id):
            running.processed += len(hashes)

    def counts(self) -> Counts:
        """Return all counts without the subscriber hashes."""
        accounts = {account_id: running.traffic() for account_id, running in self._accounts.items()}
        return Counts(total=self._total.traffic(), accounts=accounts)

    def sent(self, list_id: str) -> dict[str, int]:
        """Return how often batch requests to an audience contained each subscriber hash."""
        return dict(self._sent[list_id])

    def carried_out(self, list_id: str) -> dict[str, int]:
        """Return how often processed batches contained each subscriber hash."""
        return dict(self._processed[list_id])

    def _running_counts(self, account_id: str | None) -> list[_RunningCounts]:
        return [self._total] if account_id is None else [self._total, self._accounts[account_id]]


def _count(method: str, name: str, route: _Route) -> RouteCount:
    return RouteCount(
        method=method,
        route=name,
        calls=route.calls,
        first_at=route.first_at,
        last_at=route.last_at,
        answers=dict(route.answers),
    )
