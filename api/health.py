"""The liveness and readiness probes, for orchestrators. They need no token, and are asked often."""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.cached_probe import CachedProbe
from mailchimp_pipeline.logs import logger

CHECK_SECONDS = 5.0
CACHED_SECONDS = 1.0

_log = logger("api.health")


async def alive(_request: Request) -> Response:
    """Answer 200. The database is not checked: restarting the API does not bring it back."""
    return JSONResponse({"status": "ok"})


class Readiness:
    """Answers by a check, whose result is cached for a second. The reason of a failure is only in the log."""

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
