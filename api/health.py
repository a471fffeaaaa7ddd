"""The liveness and readiness probes, for orchestrators, and `CachedProbe` for checks that may be slow or fail.

The probes need no token, and are called often.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from structlog.stdlib import BoundLogger

from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.logs import logger

_T = TypeVar("_T")


class CachedProbe(Generic[_T]):
    """Runs `probe` in a thread, for at most `seconds`. Its result is cached for `cached_seconds`.

    A failure is logged as the event `failure`, because its text names hosts and is not for clients.
    """

    def __init__(  # noqa: PLR0913 - the two users differ in each
        self,
        probe: Callable[[], _T],
        *,
        cached_seconds: float,
        seconds: float,
        clock: Callable[[], float],
        log: BoundLogger,
        failure: str,
    ) -> None:
        self._probe = probe
        self._cached_seconds = cached_seconds
        self._seconds = seconds
        self._clock = clock
        self._log = log
        self._failure = failure
        self._probing = asyncio.Lock()
        self._probed_at = float("-inf")
        self._result: _T | None = None

    async def result(self) -> _T | None:
        """Return the cached result, or run the probe if it is too old. None if the probe failed."""
        async with self._probing:
            if self._clock() - self._probed_at >= self._cached_seconds:
                self._result = await self._run()
                self._probed_at = self._clock()
            return self._result

    async def _run(self) -> _T | None:
        try:
            async with asyncio.timeout(self._seconds):
                return await to_thread.run_sync(self._probe, abandon_on_cancel=True)
        except TimeoutError:
            self._log.warning(self._failure, why=f"It took longer than {self._seconds:g} s")
        except PipelineError as error:
            self._log.warning(self._failure, why=str(error))
        except Exception as error:  # noqa: BLE001 - a defect of the probe is a failure, too
            self._log.error(self._failure, exc_info=error)
        return None


CHECK_SECONDS = 5.0
CACHED_SECONDS = 1.0

_log = logger("api.health")


async def alive(_request: Request) -> Response:
    """Answer 200. The database is not checked: restarting the API does not bring it back."""
    return JSONResponse({"status": "ok"})


class Readiness:
    """The readiness probe. Runs `check` at most once a second. The reason of a failure is only in the log."""

    def __init__(
        self,
        check: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = CHECK_SECONDS,
    ) -> None:

        def passes() -> bool:
            check()
            return True

        self._probe = CachedProbe(
            passes, cached_seconds=CACHED_SECONDS, seconds=seconds, clock=clock, log=_log, failure="not ready"
        )

    async def answer(self, _request: Request) -> Response:
        """Answer 200, or 503 if the check raises or takes too long."""
        if await self._probe.result():
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable"}, status_code=503)
