"""The metrics for Prometheus: of the API's calls, of the process, and of the pipeline.

The metrics of the pipeline are read from the database when Prometheus scrapes, and cached for some seconds. Prometheus
cannot scrape a run, which lives for seconds; its results are in the tables. Every API process therefore reports the
same values: use their maximum, not their sum. No label names an organisation or a person.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from api.health import CachedProbe
from api.trpc import Procedure
from mailchimp_pipeline.database.gauges import PipelineFigures, Queue
from mailchimp_pipeline.logs import logger
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.sync import Rejection

CACHED_SECONDS = 5.0
READ_SECONDS = 5.0

_PREFIX = "mailchimp_pipeline_"

_log = logger("api.metrics")


class PipelineMetrics(Collector):
    """Reports the pipeline's figures to Prometheus, as they were read last.

    If they could not be read, it only reports that `database_up` is 0.
    """

    def __init__(
        self,
        read: Callable[[], PipelineFigures],
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds: float = READ_SECONDS,
    ) -> None:
        self._probe = CachedProbe(
            read, cached_seconds=CACHED_SECONDS, seconds=seconds, clock=clock, log=_log, failure="no figures"
        )
        self._figures: PipelineFigures | None = None

    async def refresh(self) -> None:
        """Read the figures, unless they are cached."""
        self._figures = await self._probe.result()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges of the figures that `refresh` read."""
        figures = self._figures
        yield _gauge("database_up", "Whether the figures of the pipeline could be read, 1 or 0.", figures is not None)
        if figures is not None:
            yield from _of_segments(figures)
            yield from _of_syncs(figures)
            yield from _of_queues(figures)


def _of_segments(figures: PipelineFigures) -> Iterator[GaugeMetricFamily]:
    statuses = {status.value: figures.segments.get(status.value, 0) for status in SegmentStatus}
    yield _gauges("segments", "Live segments of connected organisations, by status.", "status", statuses)
    states = {"live": figures.connections, "key_refused": figures.keys_refused}
    yield _gauges(
        "connections", "Live connections to Mailchimp, and those of them whose key is refused.", "state", states
    )
    if figures.newest_sync_at:
        text = "When the last successful sync of a segment ended."
        yield _gauge("newest_sync_timestamp_seconds", text, _moment(figures.newest_sync_at))
    if figures.oldest_sync_at:
        text = "The oldest of the segments' last successful syncs; a segment without one counts from its creation."
        yield _gauge("oldest_sync_timestamp_seconds", text, _moment(figures.oldest_sync_at))


def _of_syncs(figures: PipelineFigures) -> Iterator[GaugeMetricFamily]:
    text = "Contacts in the last successful sync of each segment, by outcome."
    yield _gauges("last_sync_contacts", text, "outcome", figures.contacts)
    rejected = {reason.value: figures.rejected.get(reason.value, 0) for reason in Rejection}
    text = "Contacts that Mailchimp rejected in the last sync of each segment, by reason."
    yield _gauges("last_sync_rejected", text, "reason", rejected)
    text = "Calls that changed something, in the last successful sync of each segment."
    yield _gauge("last_sync_pushes", text, figures.calls)
    text = "Calls that were retried, in the last successful sync of each segment."
    yield _gauge("last_sync_retries", text, figures.retries)
    text = "Duration of the longest of the last successful syncs."
    yield _gauge("last_sync_longest_seconds", text, figures.longest_sync_seconds)


def _of_queues(figures: PipelineFigures) -> Iterator[GaugeMetricFamily]:
    yield from _queue("sync_requests_waiting", "Sync requests that no run has started", figures.waiting)
    yield from _queue("sync_requests_running", "Sync requests that a run works on", figures.running)
    yield from _queue("erasures_pending", "Erasures that Mailchimp has not confirmed", figures.erasures)


def _queue(name: str, text: str, queue: Queue) -> Iterator[GaugeMetricFamily]:
    yield _gauge(name, f"{text}.", queue.size)
    yield _gauge(f"{name}_oldest_seconds", f"{text}: the age of the oldest, 0 if there is none.", queue.oldest_seconds)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(_PREFIX + name, text, value=float(value))


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(_PREFIX + name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family


def _moment(at: datetime) -> float:
    return at.timestamp()


NO_PROCEDURE = "none"
"""The label `procedure` of calls without a procedure. A path that a client made up must not become a series."""

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self, pipeline: PipelineMetrics | None = None) -> None:
        self._pipeline = pipeline
        self._registry = CollectorRegistry()
        if pipeline is not None:
            self._registry.register(pipeline)
        self._calls = Counter(
            "mailchimp_pipeline_api_calls",
            "Calls answered, by procedure and code (OK or the error's).",
            ["procedure", "code"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "mailchimp_pipeline_api_call_seconds",
            "Seconds from the request to the call's reply.",
            ["procedure"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._requests = Gauge(
            "mailchimp_pipeline_api_requests_in_flight", "Requests that are not answered yet.", registry=self._registry
        )
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    def count_call(self, procedure: Procedure | None, code: str, seconds: float) -> None:
        """Count an answered call."""
        path = NO_PROCEDURE if procedure is None else procedure.path
        self._calls.labels(path, code).inc()
        self._seconds.labels(path).observe(seconds)

    @contextmanager
    def request(self) -> Generator[None]:
        """Count a request as open while the block runs."""
        with self._requests.track_inprogress():
            yield

    async def page(self, _request: Request) -> Response:
        """Return the page that Prometheus scrapes."""
        if self._pipeline is not None:
            await self._pipeline.refresh()
        return Response(generate_latest(self._registry), headers={"content-type": CONTENT_TYPE_LATEST})
