"""Webhook delivery in the background, with retries."""

import heapq
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from threading import Condition, Thread
from typing import Protocol

import requests

from mailchimp_pipeline.clock import Clock
from sandbox.direct import direct_session
from sandbox.model.webhooks import Delivery

_DELIVERIES_AT_ONCE = 4
_ABOVE_SUCCESS = 300


class DeliverySettings(Protocol):
    """The fields of `Behaviours` that delivery needs."""

    @property
    def hold_webhooks(self) -> bool:
        """Whether to hold deliveries for `take_webhooks`."""
        ...

    @property
    def webhook_retry_seconds(self) -> tuple[float, ...]:
        """The pause before each retry."""
        ...

    @property
    def webhook_timeout_seconds(self) -> float:
        """The time-out of one delivery attempt."""
        ...


@dataclass(order=True, slots=True)
class _ScheduledDelivery:
    """A delivery with its due time on the monotonic clock."""

    at: float
    number: int
    delivery: Delivery = field(compare=False)
    retries: int = field(compare=False, default=0)


class WebhookSender:
    """Delivers webhooks: one thread schedules, a thread pool sends."""

    def __init__(self, settings: Callable[[], DeliverySettings], clock: Clock) -> None:
        """Create a sender; `start` starts its threads. The clock dates signatures; pauses are real time."""
        self._settings = settings
        self._clock = clock
        self._queue: list[_ScheduledDelivery] = []
        self._held: list[Delivery] = []
        self._changed = Condition()
        self._numbers = count()
        self._stopped = False
        self._in_progress = 0
        self._thread = Thread(target=self._run, name="sandbox-courier", daemon=True)
        self._pool = ThreadPoolExecutor(_DELIVERIES_AT_ONCE, thread_name_prefix="sandbox-delivery")

    def start(self) -> None:
        """Start delivering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop delivering and wait for the deliveries in progress."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def send(self, delivery: Delivery) -> None:
        """Schedule a delivery and return at once."""
        if self._settings().hold_webhooks:
            self._held.append(delivery)
        else:
            self._put(_ScheduledDelivery(time.monotonic(), next(self._numbers), delivery))

    def take_held(self) -> list[Delivery]:
        """Return and discard the held deliveries."""
        held, self._held = self._held, []
        return held

    def clear(self) -> None:
        """Discard all scheduled and held deliveries."""
        with self._changed:
            self._queue.clear()
            self._held.clear()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until no delivery is scheduled or in progress. Return False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._in_progress, timeout)

    def _put(self, due: _ScheduledDelivery) -> None:
        with self._changed:
            heapq.heappush(self._queue, due)
            self._changed.notify_all()

    def _run(self) -> None:
        while (due := self._next()) is not None:
            self._pool.submit(self._deliver, due)

    def _next(self) -> _ScheduledDelivery | None:
        """Wait for the next due delivery. Return None after `stop`."""
        with self._changed:
            while not self._stopped:
                wait = self._queue[0].at - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    self._in_progress += 1
                    return heapq.heappop(self._queue)
                self._changed.wait(wait)
        return None

    def _deliver(self, due: _ScheduledDelivery) -> None:
        settings = self._settings()
        try:
            if not _post(due.delivery, int(self._clock().timestamp()), settings.webhook_timeout_seconds):
                self._retry(due, settings.webhook_retry_seconds)
        finally:
            with self._changed:
                self._in_progress -= 1
                self._changed.notify_all()

    def _retry(self, due: _ScheduledDelivery, pauses: tuple[float, ...]) -> None:
        if due.retries < len(pauses):
            self._put(
                _ScheduledDelivery(time.monotonic() + pauses[due.retries], due.number, due.delivery, due.retries + 1)
            )


def _post(delivery: Delivery, unix: int, timeout: float) -> bool:
    """Send a delivery and return whether the receiver accepted it."""
    body = delivery.body()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "MailChimp"}
    signature = delivery.signature(body, unix)
    if signature is not None:
        headers["X-Mailchimp-Signature"] = signature
    try:
        with direct_session() as session:
            answer = session.post(delivery.webhook.url, data=body, headers=headers, timeout=timeout)
    except requests.RequestException:
        return False
    return answer.status_code < _ABOVE_SUCCESS
