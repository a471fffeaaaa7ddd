"""The application: the tRPC procedures, probes, metrics, the OpenAPI document, and the middleware around them.

`build_app` opens the parts of the pipeline for given settings, and builds the application on them.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.auth import Caller, authenticator
from api.dashboard import answer_unknown_page, dashboard_routes
from api.dashboard.rendering import use_translation
from api.error_mapping import log_failure, translate
from api.health import Readiness, alive
from api.metrics import READ_SECONDS, Metrics, PipelineMetrics
from api.openapi import openapi
from api.procedures.context import CALL_BUDGET, CallBudget, Context
from api.procedures.registry import PROCEDURES
from api.request_log import REQUEST_ID, RequestLogMiddleware, note_call, note_caller
from api.trpc import CallHooks, Code, Identified, Limits, Procedure, Procedures, TRPCError, TrpcServer
from api.webhooks import webhook_route
from mailchimp_pipeline.database.gauges import PipelineFigures, pipeline_figures
from mailchimp_pipeline.database.migrations import require_tables
from mailchimp_pipeline.database.session import TimeLimits
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings

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
    """Return None: no exception is a known error."""
    return None


def _nothing() -> None:
    """Close nothing."""


# No slots: Python 3.11 cannot subscript a frozen generic class that has them.
@dataclass(frozen=True, kw_only=True)
class ApiParts(Generic[ContextT]):
    """The parts that `create_app` makes an application of.

    `make_context` authenticates a request and may raise a TRPCError. `check_ready` raises if requests cannot be served.
    `translate` returns the error that a client sees for an exception, or None for a defect. `read_figures` reads the
    metrics of the pipeline. `close` runs once, after the last call. `routes` returns the routes that are served beside
    the procedures; it gets the server, so that pages can call procedures.
    """

    procedures: Procedures[ContextT]
    make_context: Callable[[HTTPConnection], ContextT]
    check_ready: Callable[[], None]
    translate: Callable[[Exception], TRPCError | None] = _unknown
    read_figures: Callable[[], PipelineFigures] | None = None
    close: Callable[[], None] = _nothing
    routes: Callable[[TrpcServer[ContextT]], Sequence[BaseRoute]] = lambda _server: ()
    cors_origins: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    figures_seconds: float = READ_SECONDS
    clock: Callable[[], float] = time.monotonic


def create_app(parts: ApiParts[ContextT]) -> FastAPI:
    """Return the application made of these parts."""
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
    app.router.routes.extend([server.route, *_routes(parts, metrics), *parts.routes(server)])
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
    if status == 404 and (page := answer_unknown_page(request)):
        return page
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


TIME_LIMITS = TimeLimits(statement_seconds=30, lock_seconds=10)
"""The time limits of the API's transactions: a statement that hangs must not hold a thread for ever."""


def build_app(settings: Settings | None = None, *, time_limits: TimeLimits = TIME_LIMITS) -> FastAPI:
    """Return the application for the settings, by default the environment's. It closes its resources when it ends.

    Raises `SettingsError` if a setting is missing or invalid, and `KeyringInvalid` if the encryption keys are. A
    database that does not answer is not an error: `/readyz` reports it.
    """
    with ExitStack() as opened:
        parts = opened.enter_context(open_resources(settings, time_limits=time_limits))
        kept = ExitStack()
        app = create_app(api_parts(parts, close=kept.close))
        kept.push(opened.pop_all())
        return app


def api_parts(
    parts: Resources, *, budget: CallBudget = CALL_BUDGET, close: Callable[[], None] = lambda: None
) -> ApiParts[Context]:
    """Return the parts of the application that serves all procedures. `close` runs after the last call."""
    # The keyring is built now, so that an invalid key is an error at the start.
    authenticate = authenticator(parts.settings, parts.keyring)
    use_translation(parts.settings.dashboard_translation)

    def context_of(caller: Caller) -> Context:
        return Context(caller, parts, budget)

    def routes(server: TrpcServer[Context]) -> Sequence[BaseRoute]:
        return (webhook_route(parts), *dashboard_routes(server, authenticate, parts.keyring, context_of))

    return ApiParts[Context](
        procedures=PROCEDURES,
        make_context=lambda connection: context_of(authenticate(connection)),
        check_ready=partial(require_tables, parts.database),
        translate=translate,
        read_figures=partial(pipeline_figures, parts.database),
        close=close,
        routes=routes,
        cors_origins=parts.settings.cors_origins or (),
    )
