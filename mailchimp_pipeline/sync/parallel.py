"""Tasks that wait on the network, done side by side: as many as keep an account's connections busy."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, Self, TypeVar

from mailchimp_pipeline.errors import PassingError
from mailchimp_pipeline.sync.model import CONNECTIONS
from mailchimp_pipeline.tracing import carried

_T = TypeVar("_T")

AT_ONCE = CONNECTIONS + 4
"""Some more than connections: while some tasks write down an answer, others use the connections."""


class Ahead(Generic[_T]):
    """A call, made once at most, that may be begun before its answer is needed. For one thread, as a context."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._answer: Future[_T] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        self._pool.shutdown()

    def begin(self) -> "Future[_T]":
        """Make the call, where it was not made; what it raises is raised to whoever needs the answer."""
        if self._answer is None:
            self._answer = self._pool.submit(carried(self._call))
        return self._answer

    def __call__(self) -> _T:
        """Return the answer."""
        return self.begin().result()


class Stopped(PassingError):
    """The sync was told to stop before it was done."""


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
                pending.add(pool.submit(carried(begin), task))
                while len(pending) >= 2 * CONNECTIONS:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            for future in pending:
                future.cancel()
