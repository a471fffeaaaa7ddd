"""The push: read how the audience's members stand, send what the plan says, write down each answer.

Batches travel at once, as many as the account has connections. A failure ends the sync after the
batches under way have been written down; what was done stays done, and the next sync goes on from there.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from mailchimp_pipeline.errors import PassingError
from mailchimp_pipeline.sync.model import (
    CONNECTIONS,
    Audience,
    BatchAnswer,
    MemberOutcome,
    MemberStatus,
    Outcome,
    Refusal,
    Standing,
    SyncReport,
)
from mailchimp_pipeline.sync.plan import WITHHELD, batches, members, plan

if TYPE_CHECKING:
    import pandas as pd

    from mailchimp_pipeline.sync.ports import Audiences, Ledger

_T = TypeVar("_T")

_OVERLAP = timedelta(minutes=5)
"""How far before the last read the next one begins: clocks differ, and `since_last_changed` is exclusive."""

_WATCHED = (MemberStatus.UNSUBSCRIBED, MemberStatus.CLEANED, MemberStatus.ARCHIVED)


@dataclass(frozen=True, slots=True)
class _Result:
    """What one batch adds to the report."""

    new: int = 0
    changed: int = 0
    calls: int = 0
    refused: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    withheld: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])


def sync_audience(  # noqa: PLR0913 - ports and clock, by name
    segment_id: str,
    audience: Audience,
    *,
    audiences: "Audiences",
    ledger: "Ledger",
    now: datetime,
    stopping: Callable[[], bool] = lambda: False,
) -> SyncReport:
    """Bring the audience in step with the segment's members, until `stopping` says that no more may be sent.

    Raises `errors.PassingError` and `errors.LastingError` of the audiences.
    """
    read = read_standings(audience.id, audiences=audiences, ledger=ledger, now=now)
    left_out = ledger.standing_counts(segment_id)
    push = _Push(audience, audiences.merge_tags(audience.id), audiences, ledger)
    results = list(_in_parallel(_until(stopping, push.tasks(segment_id))))
    return _report(results, left_out, read)


def read_standings(list_id: str, *, audiences: "Audiences", ledger: "Ledger", now: datetime) -> int:
    """Take over what changed at Mailchimp since the last read, the first time all. Return how many members came."""
    through = ledger.read_through()
    if through is None:
        pages = (audiences.standings(list_id, status=status) for status in (None, MemberStatus.ARCHIVED))
    else:
        # Our own pushes change members too. Those who became subscribed are only of interest
        # where somebody was known not to be, so that a large push is not read back the next day.
        statuses = [*_WATCHED, *([MemberStatus.SUBSCRIBED] if ledger.knows_unsubscribed() else [])]
        since = through - _OVERLAP
        pages = (audiences.standings(list_id, status=status, since=since) for status in statuses)
    read = 0
    for page in (page for reading in pages for page in reading):
        ledger.take_over(page)
        read += len(page)
    ledger.finish_reading(now)
    return read


@dataclass(frozen=True, slots=True)
class _Push:
    """Sends batches of one audience and writes down what became of them; its methods run in worker threads."""

    audience: Audience
    merge_tags: frozenset[str]
    audiences: "Audiences"
    ledger: "Ledger"

    def tasks(self, segment_id: str) -> Iterator[Callable[[], _Result]]:
        for piece in self.ledger.differences(segment_id):
            planned = plan(piece)
            yield partial(_Result, withheld=planned.withheld)
            for rows in batches(planned.changed):
                yield partial(self.update, rows)
            for rows in batches(planned.new):
                yield partial(self.create, rows)

    def create(self, rows: "pd.DataFrame") -> _Result:
        status = MemberStatus.PENDING if self.audience.double_optin else MemberStatus.SUBSCRIBED
        answer = self._send(rows, status, update_existing=False)
        self._record(rows, answer, status)
        created = _Result(new=len(answer.accepted), calls=1, refused=Counter(answer.refused.values()))
        if not answer.existing:
            return created
        adopted = self._adopt(rows[rows["subscriber_hash"].isin(list(answer.existing))])
        return _sum([created, adopted])

    def update(self, rows: "pd.DataFrame") -> _Result:
        answer = self._send(rows, MemberStatus.SUBSCRIBED, update_existing=True)
        self._record(rows, answer, MemberStatus.SUBSCRIBED)
        return _Result(changed=len(answer.accepted), calls=1, refused=Counter(answer.refused.values()))

    def _adopt(self, rows: "pd.DataFrame") -> _Result:
        """Look up members that came to the audience since it was read; only the subscribed are taken over."""
        found = {key: self.audiences.member_status(self.audience.id, key) for key in rows["subscriber_hash"].tolist()}
        self.ledger.take_over([Standing(key, status) for key, status in found.items() if status])
        withheld = Counter(
            WITHHELD.get(status, Refusal.OTHER) if status else Refusal.OTHER
            for status in found.values()
            if status is not MemberStatus.SUBSCRIBED
        )
        looked_up = _Result(calls=len(found), withheld=withheld)
        subscribed = [key for key, status in found.items() if status is MemberStatus.SUBSCRIBED]
        if not subscribed:
            return looked_up
        return _sum([looked_up, self.update(rows[rows["subscriber_hash"].isin(subscribed)])])

    def _send(self, rows: "pd.DataFrame", status: MemberStatus, *, update_existing: bool) -> BatchAnswer:
        batch = members(rows, status, self.merge_tags)
        return self.audiences.subscribe(self.audience.id, batch, update_existing=update_existing)

    def _record(self, rows: "pd.DataFrame", answer: BatchAnswer, status: MemberStatus) -> None:
        outcomes = [MemberOutcome(key, Outcome.PUSHED, status=status) for key in answer.accepted]
        outcomes += [MemberOutcome(key, Outcome.REFUSED, refusal=why) for key, why in answer.refused.items()]
        self.ledger.record(rows, outcomes)


class Stopped(PassingError):
    """The sync was told to stop before it was done."""


def _until(stopping: Callable[[], bool], tasks: Iterable[_T]) -> Iterator[_T]:
    for task in tasks:
        if stopping():
            raise Stopped("The run was stopped before it was done. What was sent is kept; sync again to go on.")
        yield task


def _in_parallel(tasks: Iterable[Callable[[], _T]]) -> Iterator[_T]:
    """Run tasks in threads and yield their results, never holding more than two for each connection.

    When one fails those under way finish, those not begun are dropped, and its error is raised.
    """
    pending: set[Future[_T]] = set()
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="push") as pool:
        try:
            for task in tasks:
                pending.add(pool.submit(task))
                while len(pending) >= 2 * CONNECTIONS:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in pending:
                future.cancel()


def _sum(results: Iterable[_Result]) -> _Result:
    new = changed = calls = 0
    refused: Counter[Refusal] = Counter()
    withheld: Counter[Refusal] = Counter()
    for result in results:
        new, changed, calls = new + result.new, changed + result.changed, calls + result.calls
        refused.update(result.refused)
        withheld.update(result.withheld)
    return _Result(new, changed, calls, refused, withheld)


def _report(results: Iterable[_Result], left_out: Mapping[str, int], read: int) -> SyncReport:
    total = _sum(results)
    counted = total.new + total.changed + sum(total.refused.values()) + sum(total.withheld.values())
    unchanged, before = left_out["unchanged"], left_out["refused_before"]
    return SyncReport(
        wanted=counted + unchanged + before,
        new=total.new,
        changed=total.changed,
        unchanged=unchanged,
        refused=total.refused,
        refused_before=before,
        withheld=total.withheld,
        calls=total.calls,
        read=read,
    )
