"""Whether the process lives, and whether it can serve: what an orchestrator asks, unauthenticated and often.

What does not belong here: what makes it able to serve (the check is handed in).
"""

import time
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.cached_probe import CachedProbe
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

        def passes() -> bool:
            check()
            return True

        self._observation = CachedProbe(
            passes, kept_seconds=KEPT_SECONDS, seconds=seconds, clock=clock, log=_log, failure="not ready"
        )

    async def answer(self, _request: Request) -> Response:
        """Answer 200 or 503."""
        if await self._observation.found():
            return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "unavailable"}, status_code=503)
