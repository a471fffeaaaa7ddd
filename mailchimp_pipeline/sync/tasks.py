"""Run tasks that wait for Mailchimp in parallel threads, and sum their results as a report."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import TypeVar

from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.sync.audience import CONNECTIONS, Rejection, SyncReport

_T = TypeVar("_T")

AT_ONCE = CONNECTIONS + 4
"""The number of threads. There are more than connections, so that connections stay busy while threads record
answers."""


class Stopped(TransientError):
    """The sync was asked to stop before it was complete."""


def in_parallel(tasks: Iterable[Callable[[], _T]], stopping: Callable[[], bool]) -> Iterator[_T]:
    """Run tasks in threads and yield their results, in order of completion.

    At most two tasks for each connection are queued or running. If a task fails, running tasks finish, queued tasks are
    dropped, and the task's error is raised. Each thread calls `stopping` before its task. If that returns true, the
    work ends in the same way with `Stopped`; if it raises an error, with that error.
    """

    def begin(task: Callable[[], _T]) -> _T:
        if stopping():
            raise Stopped("The run was stopped before it was done. What was sent is kept; sync again to go on.")
        return task()

    pending: set[Future[_T]] = set()
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="push") as pool:
        try:
            for task in tasks:
                pending.add(pool.submit(copy_context().run, begin, task))
                while len(pending) >= 2 * CONNECTIONS:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in pending:
                future.cancel()


@dataclass(frozen=True, slots=True)
class Result:
    """The counts that one task adds to the report. Keys of `counts` are field names of `SyncReport`."""

    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    rejected: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])
    waiting: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])
    withheld: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])


def merged(results: Iterable[Result]) -> Result:
    """Return the sum of the results of several tasks."""
    counts: Counter[str] = Counter()
    rejected: Counter[Rejection] = Counter()
    waiting: Counter[Rejection] = Counter()
    withheld: Counter[Rejection] = Counter()
    for result in results:
        counts.update(result.counts)
        rejected.update(result.rejected)
        waiting.update(result.waiting)
        withheld.update(result.withheld)
    return Result(counts, rejected, waiting, withheld)


def report(total: Result) -> SyncReport:
    """Return the sum of all results as a `SyncReport`."""
    counts = Counter(total.counts)
    by_reason = sum(sum(each.values()) for each in (total.rejected, total.waiting, total.withheld))
    return SyncReport(
        wanted=counts["new"] + counts["changed"] + counts["unchanged"] + by_reason,
        new=counts["new"],
        changed=counts["changed"],
        unchanged=counts["unchanged"],
        rejected=total.rejected,
        waiting=total.waiting,
        withheld=total.withheld,
        moved=counts["moved"],
        returned=counts["returned"],
        invited=counts["invited"],
        archived=counts["archived"],
        calls=counts["calls"],
    )
