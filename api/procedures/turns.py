"""Turns at what costs much: a few at once in this process, one of each organisation.

What does not belong here: how many calls an organisation may make (`api.limits`), or have at work (`api.trpc`).
"""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Condition

from api.trpc import TRPCError

_PAUSE = 5


class Turns:
    """May be taken from many threads."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._taken = set[str]()
        self._changed = Condition()

    @contextmanager
    def turn(self, organisation_id: str, wait_seconds: float) -> Generator[None]:
        """Hold a turn for the block. Raises TOO_MANY_REQUESTS where there is none within the time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_free(organisation_id), wait_seconds):
                message = f"Others are at it, or you are: try again in {_PAUSE} s"
                raise TRPCError("TOO_MANY_REQUESTS", message, retry_after=_PAUSE)
            self._taken.add(organisation_id)
        try:
            yield
        finally:
            with self._changed:
                self._taken.remove(organisation_id)
                self._changed.notify_all()

    def _is_free(self, organisation_id: str) -> bool:
        return len(self._taken) < self._at_once and organisation_id not in self._taken


PREVIEWS = Turns(2)
"""Each reads an organisation's whole source: of a hundred thousand people for seconds, into hundreds of megabytes."""
