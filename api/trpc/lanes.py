"""The threads that calls run in: so many at once in all, and of each lane no more than its share.

A lane is whatever should not keep others waiting, such as an organisation. What is over its share waits without a
thread. What does not belong here: what a call does, which lane it is in.
"""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from threading import Lock

Work = Callable[[], None]
"""Raises nothing: in a thread nobody would see it."""


@dataclass(slots=True)
class _Lane:
    running: int = 0
    waiting: deque[Work] = field(default_factory=deque[Work])


class Lanes:
    """Runs work in threads. May be used from all of them."""

    def __init__(self, *, threads: int, share: int, waiting: int) -> None:
        """Take how many threads there are, how many of them one lane may have, and how much of it may wait."""
        # A pool of our own and not anyio's threads: a third of their cost a call, and what was handed to it is
        # done even if the task that waits is cancelled.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="trpc")
        self._share = share
        self._most = share + waiting
        self._lock = Lock()
        self._lanes: dict[Hashable, _Lane] = {}

    def begin(self, work: Work) -> None:
        """Run what is in no lane yet. Raises RuntimeError once the threads are closed."""
        self._pool.submit(_with_context(work))

    def room(self, key: Hashable) -> int:
        """Return how much more the lane takes; a little more where many ask at once."""
        with self._lock:
            lane = self._lanes.get(key) or _Lane()
            return max(0, self._most - lane.running - len(lane.waiting))

    def run(self, key: Hashable, works: Sequence[Work]) -> None:
        """Run all of it, as the lane's share allows: the first in this thread, so that one call costs no other."""
        ready = [_with_context(work) for work in works]
        with self._lock:
            lane = self._lanes.setdefault(key, _Lane())
            free = max(0, self._share - lane.running)
            lane.running += len(ready[:free])
            lane.waiting.extend(ready[free:])
        for work in ready[1:free]:
            if not self._is_handed_on(key, work):
                self._do(key, work)
        if ready[:free]:
            self._do(key, ready[0])

    def close(self) -> None:
        """Take no more, and wait until all is done."""
        self._pool.shutdown()

    def _do(self, key: Hashable, work: Work) -> None:
        """Do the work, and hand on what waits behind it: to the end of the queue, after what others have there."""
        work()
        while (following := self._following(key)) and not self._is_handed_on(key, following):
            following()

    def _following(self, key: Hashable) -> Work | None:
        """Return what is to be done in the place of what is done now."""
        with self._lock:
            lane = self._lanes[key]
            if lane.waiting:
                return lane.waiting.popleft()
            lane.running -= 1
            if not lane.running:
                del self._lanes[key]
            return None

    def _is_handed_on(self, key: Hashable, work: Work) -> bool:
        """Hand the work to a thread; false where they are being closed: this one they still wait for."""
        try:
            self._pool.submit(self._do, key, work)
        except RuntimeError:
            return False
        return True


def _with_context(work: Work) -> Work:
    """Return the work with the context variables of the request, so that log lines of a handler carry its id."""
    context = copy_context()
    return lambda: context.run(work)
