"""Whether the process lives, and whether it can serve: what an orchestrator asks, unauthenticated and often.

What does not belong here: what makes it able to serve (the check is handed in).
"""

import asyncio
import time
from collections.abc import Callable

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.logs import logger

CHECK_SECONDS = 5.0
KEPT_SECONDS = 1.0

_log = logger("api.health")


async def alive(_request: Request) -> Response:
    """Say that the process answers; it asks nothing of the database, or its restart would be tried as a cure."""
    return JSONResponse({"status": "ok"})


class Readiness:
    """Answers by a check that raises where something is amiss. One check at a time, its verdict kept for a second.

    Whoever asks learns only whether, the log also why: the text names hosts.
    """

    def __init__(
        self,
        check: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = CHECK_SECONDS,
    ) -> None:
        """Take the check; it may take so many seconds."""
        self._check = check
        self._clock = clock
        self._seconds = seconds
        self._checking = asyncio.Lock()
        self._checked_at = float("-inf")
        self._is_ready = False

    async def answer(self, _request: Request) -> Response:
        """Answer 200 or 503."""
        async with self._checking:
            if self._clock() - self._checked_at >= KEPT_SECONDS:
                self._is_ready = await self._passes()
                self._checked_at = self._clock()
        if self._is_ready:
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable"}, status_code=503)

    async def _passes(self) -> bool:
        try:
            async with asyncio.timeout(self._seconds):
                await to_thread.run_sync(self._check, abandon_on_cancel=True)
        except TimeoutError:
            _log.warning("not ready", why=f"The check took longer than {self._seconds:g} s")
        except PipelineError as error:
            _log.warning("not ready", why=str(error))
        except Exception as error:  # noqa: BLE001 - a probe asks for a verdict: a broken check is a bad one
            _log.error("not ready", exc_info=error)
        else:
            return True
        return False
