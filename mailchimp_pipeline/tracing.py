"""Whom this thread works for: organisation, segment, run and request, and what Mailchimp made us try again.

Threads that are handed work take these along (`carried`), log lines show them.
What does not belong here: logging (`logs`), anything about a person.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from threading import Lock
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(slots=True)
class Tally:
    """How many calls to Mailchimp were tried again. Many threads may add to it."""

    retries: int = 0
    _lock: Lock = field(default_factory=Lock)

    def count(self) -> None:
        """Add one."""
        with self._lock:
            self.retries += 1


_ids: ContextVar[Mapping[str, str]] = ContextVar("ids")
_tally: ContextVar[Tally] = ContextVar("tally")


def ids() -> Mapping[str, str]:
    """Return whom this thread works for, by `organisation_id`, `segment_id`, `run_id` and `request_id`."""
    return _ids.get({})


@contextmanager
def working_for(**more: str | None) -> Generator[None]:
    """Work for these, beside those already known, until the end of the block; None adds nothing."""
    token = _ids.set({**ids(), **{name: text for name, text in more.items() if text is not None}})
    try:
        yield
    finally:
        _ids.reset(token)


def each_working_for(work: Iterator[_T], **more: str | None) -> Iterator[_T]:
    """Yield what the work yields; it works for these, whoever waits for it does not."""
    while True:
        with working_for(**more):
            try:
                done = next(work)
            except StopIteration:
                return
        yield done


@contextmanager
def tallied() -> Generator[Tally]:
    """Count what is tried again within the block, in its threads too."""
    tally = Tally()
    token = _tally.set(tally)
    try:
        yield tally
    finally:
        _tally.reset(token)


def count_retry() -> None:
    """Note that a call to Mailchimp is tried again."""
    if tally := _tally.get(None):
        tally.count()


def carried(task: Callable[_P, _T]) -> Callable[_P, _T]:
    """Return the task, to be done elsewhere as if it were done here. Each wrapping is for one call at a time."""
    context = copy_context()

    def done(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return context.run(task, *args, **kwargs)

    return done
