"""The application: the tRPC procedures, probes, metrics, the OpenAPI document, and the middleware around them.

`create_app` gets everything as `ApiParts` and connects to nothing.
What does not belong here: building the parts from the settings (`composition`), the server (`serving`).
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.health import Readiness, alive
from api.logs import log_failure
from api.metrics import Metrics
from api.openapi import openapi
from api.pipeline_metrics import READ_SECONDS, PipelineMetrics
from api.request_log import REQUEST_ID, RequestLogMiddleware, note_call, note_caller
from api.trpc import CallHooks, Code, Identified, Limits, Procedure, Procedures, TRPCError, TrpcServer
from mailchimp_pipeline.database.gauges import PipelineFigures

PREFIX = "/api/trpc"
TITLE = "Mailchimp pipeline"
VERSION = "1"
"""The version of the procedures' contract: a change that breaks callers changes it."""

_PROBES = ("/healthz", "/readyz", "/metrics")
_PAGES = ("/openapi.json",)

_REQUEST_HEADERS = ("authorization", "content-type", "trpc-accept", "x-trpc-source", REQUEST_ID)
_ANSWER_HEADERS = ("retry-after", REQUEST_ID)

_CODES: dict[int, Code] = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_SUPPORTED",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
}

ContextT = TypeVar("ContextT", bound=Identified)


def _unknown(_exception: Exception) -> TRPCError | None:
    """Translate no exception."""
    return None


def _nothing() -> None:
    """Close nothing."""


# No slots: Python 3.11 cannot subscript a frozen generic class that has them.
@dataclass(frozen=True, kw_only=True)
class ApiParts(Generic[ContextT]):
    """The parts of an application.

    `make_context` authenticates a request and may raise a TRPCError. `check_ready` raises if requests cannot be
    served. `translate` returns the error that a client sees for an exception, or None for a defect. `read_figures`
    reads the metrics of the pipeline. `close` runs once, after the last call. `routes` are served beside the
    procedures.
    """

    procedures: Procedures[ContextT]
    make_context: Callable[[HTTPConnection], ContextT]
    check_ready: Callable[[], None]
    translate: Callable[[Exception], TRPCError | None] = _unknown
    read_figures: Callable[[], PipelineFigures] | None = None
    close: Callable[[], None] = _nothing
    routes: Sequence[BaseRoute] = ()
    cors_origins: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    figures_seconds: float = READ_SECONDS
    clock: Callable[[], float] = time.monotonic


def create_app(parts: ApiParts[ContextT]) -> FastAPI:
    """Return the application."""
    metrics = Metrics(_pipeline_metrics(parts))
    server = _trpc_server(parts, metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        yield
        await server.close()
        parts.close()

    # No page of FastAPI: it loads its scripts from other hosts.
    app = FastAPI(docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan)
    document = openapi(parts.procedures, title=TITLE, version=VERSION, prefix=PREFIX)
    app.openapi = lambda: document
    app.router.routes.extend([server.route, *_routes(parts, metrics), *parts.routes])
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(TRPCError, _answer_error)
    _add_guards(app, parts, metrics)
    return app


def _pipeline_metrics(parts: ApiParts[ContextT]) -> PipelineMetrics | None:
    if parts.read_figures is None:
        return None
    return PipelineMetrics(parts.read_figures, clock=parts.clock, seconds=parts.figures_seconds)


def _trpc_server(parts: ApiParts[ContextT], metrics: Metrics) -> TrpcServer[ContextT]:
    def make_context(connection: HTTPConnection) -> ContextT:
        context = parts.make_context(connection)
        note_caller(context)
        return context

    def after_call(procedure: Procedure | None, code: str, seconds: float) -> None:
        metrics.count_call(procedure, code, seconds)
        note_call(procedure, code, seconds)

    hooks = CallHooks(after_call, parts.translate, log_failure)
    return TrpcServer(parts.procedures, make_context, prefix=PREFIX, limits=parts.limits, hooks=hooks)


def _routes(parts: ApiParts[ContextT], metrics: Metrics) -> Sequence[Route]:
    """Return the routes beside the procedures: for the orchestrator and for Prometheus."""
    ready = Readiness(parts.check_ready, clock=parts.clock)
    return [Route("/healthz", alive), Route("/readyz", ready.answer), Route("/metrics", metrics.page)]


def _add_guards(app: FastAPI, parts: ApiParts[ContextT], metrics: Metrics) -> None:
    """Add the middleware, the innermost first."""
    if parts.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=parts.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_ANSWER_HEADERS,
        )
    app.add_middleware(RequestLogMiddleware, metrics=metrics, pages=_PAGES, probes=_PROBES)


async def _answer_http_error(request: Request, exception: Exception) -> Response:
    """Answer an unknown path or method in the form of all errors of this API."""
    status = exception.status_code if isinstance(exception, HTTPException) else 500
    error = TRPCError(
        _CODES.get(status, "BAD_REQUEST"), f"{request.method} is not answered at this path: see /openapi.json"
    )
    answer = await _answer_error(request, error)
    answer.status_code = status
    return answer


async def _answer_error(_request: Request, exception: Exception) -> Response:
    error = exception if isinstance(exception, TRPCError) else TRPCError("BAD_REQUEST", "The request cannot be read")
    headers = {name.decode(): value.decode() for name, value in error.headers}
    return Response(error.envelope(), error.http_status, headers, media_type="application/json")
