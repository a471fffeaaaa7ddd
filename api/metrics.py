"""The metrics for Prometheus: calls by procedure and code, their duration, open requests, and the process.

The page also has the metrics of the pipeline (`pipeline_metrics`). No label names an organisation or a person.
"""

from collections.abc import Generator
from contextlib import contextmanager

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
from starlette.requests import Request
from starlette.responses import Response

from api.pipeline_metrics import PipelineMetrics
from api.trpc import Procedure

NO_PROCEDURE = "none"
"""The label of calls without a procedure: a path that a client made up must not become a series."""

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
