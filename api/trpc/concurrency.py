"""Limits on how many calls run at once.

Before a call runs in a thread, it takes one of the limited places on the event loop, or waits for one.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from weakref import WeakValueDictionary

from api.trpc.error_codes import TRPCError

_RETRY_AFTER = 5


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many calls run at once: `total`, and `per_organisation` of the same organisation.

    `waiting` more calls of an organisation may wait. A call that has waited for `wait_seconds` is refused with the text
    `busy`. If that is None, it waits until it may run.
    """

    total: int
    per_organisation: int
    waiting: int = 400
    wait_seconds: float | None = None
    busy: str = "Too many calls of this organisation are waiting."


class _Places(asyncio.Semaphore):
    """The calls of one organisation that may run at once, and how many calls are waiting."""

    waiting = 0


class ConcurrencyLimit:
    """Limits how many calls run at once. A call waits for a free place, and frees it when it ends.

    Belongs to one event loop.
    """

    def __init__(self, allowed: Concurrency) -> None:
        self._allowed = allowed
        self._total = asyncio.Semaphore(allowed.total)
        # An organisation is forgotten with the last call that holds a place or waits for one.
        self._by_organisation = WeakValueDictionary[str, _Places]()

    @asynccontextmanager
    async def place(self, organisation_id: str) -> AsyncGenerator[None]:
        """Hold a place during the block; wait until one is free.

        Raises TOO_MANY_REQUESTS if too many calls of the organisation wait already, or if no place is free in time.
        """
        places = self._by_organisation.get(organisation_id) or _Places(self._allowed.per_organisation)
        self._by_organisation[organisation_id] = places
        if places.waiting >= self._allowed.waiting:
            raise self._refusal()
        places.waiting += 1
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(self._allowed.wait_seconds):
                    await held.enter_async_context(places)
                    await held.enter_async_context(self._total)
            except TimeoutError:
                raise self._refusal() from None
            finally:
                places.waiting -= 1
            yield

    def _refusal(self) -> TRPCError:
        message = f"{self._allowed.busy} Try again in {_RETRY_AFTER} seconds."
        return TRPCError("TOO_MANY_REQUESTS", message, retry_after=_RETRY_AFTER)
