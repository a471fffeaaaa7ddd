"""Observing what may be slow or away, for those who ask often: one at a time, and what was found is kept for a while.

What does not belong here: what is observed (`health`, `figures`).
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from anyio import to_thread
from structlog.stdlib import BoundLogger

from mailchimp_pipeline.errors import PipelineError

_T = TypeVar("_T")


class CachedProbe(Generic[_T]):
    """What `take` returned when it was last asked, in a thread and for so many `seconds` at most.

    Where it could not be told the log says why, under `failure`: the text names hosts, which whoever asks is not told.
    """

    def __init__(  # noqa: PLR0913 - each is one thing that two of them do differently
        self,
        take: Callable[[], _T],
        *,
        kept_seconds: float,
        seconds: float,
        clock: Callable[[], float],
        log: BoundLogger,
        failure: str,
    ) -> None:
        """Take nothing yet."""
        self._take = take
        self._kept_seconds = kept_seconds
        self._seconds = seconds
        self._clock = clock
        self._log = log
        self._failure = failure
        self._taking = asyncio.Lock()
        self._taken_at = float("-inf")
        self._found: _T | None = None

    async def found(self) -> _T | None:
        """Observe, unless that was done just now; return what was found, None where that could not be told."""
        async with self._taking:
            if self._clock() - self._taken_at >= self._kept_seconds:
                self._found = await self._taken()
                self._taken_at = self._clock()
            return self._found

    async def _taken(self) -> _T | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await to_thread.run_sync(self._take, abandon_on_cancel=True)
        except TimeoutError:
            self._log.warning(self._failure, why=f"It took longer than {self._seconds:g} s")
        except PipelineError as error:
            self._log.warning(self._failure, why=str(error))
        except Exception as error:  # noqa: BLE001 - who asks is to be answered: a broken one found nothing
            self._log.error(self._failure, exc_info=error)
        return None
