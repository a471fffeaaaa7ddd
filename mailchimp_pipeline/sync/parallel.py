"""Tasks that wait on the network, side by side: as many as keep an account's connections busy."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.sync.model import CONNECTIONS

_T = TypeVar("_T")

AT_ONCE = CONNECTIONS + 4
"""Some more than connections: while some tasks write down an answer, others use the connections."""


class Stopped(TransientError):
    """The sync was stopped before it was done."""


def in_parallel(tasks: Iterable[Callable[[], _T]], stopping: Callable[[], bool]) -> Iterator[_T]:
    """Run tasks in threads and yield their results, never holding more than two for each connection.

    When one fails those under way finish, those not begun are dropped, and its error is raised.
    `stopping` is asked as each task begins, in its thread; it ends the work in the same way, with `Stopped`, or
    with what it raises.
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
