"""The application for given settings: opens the parts of the pipeline, and builds the application on them."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from api.app import ApiParts, create_app
from api.auth import authenticator
from api.error_mapping import translate
from api.procedures.context import CALL_BUDGET, CallBudget, Context
from api.procedures.registry import PROCEDURES
from api.webhooks import webhook_route
from mailchimp_pipeline.database.gauges import pipeline_figures
from mailchimp_pipeline.database.migrations import require_tables
from mailchimp_pipeline.database.session import TimeLimits
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings

TIME_LIMITS = TimeLimits(statement_seconds=30, lock_seconds=10)
"""The time limits of the API's transactions: a statement that hangs must not hold a thread for ever."""


def build_app(settings: Settings | None = None, *, time_limits: TimeLimits = TIME_LIMITS) -> FastAPI:
    """Return the application for these settings, or for the environment's; it closes its parts when it ends.

    Raises `SettingsError` and `KeyringInvalid`. A database that is away is not an error: `/readyz` reports it.
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
    """Return the parts of the application; `close` runs after the last call."""
    # The keyring is built now, so that an invalid key is an error at the start.
    authenticate = authenticator(parts.settings, parts.keyring)

    def make_context(connection: HTTPConnection) -> Context:
        return Context(authenticate(connection), parts, budget)

    return ApiParts[Context](
        procedures=PROCEDURES,
        make_context=make_context,
        check_ready=partial(require_tables, parts.database),
        translate=translate,
        read_figures=partial(pipeline_figures, parts.database),
        close=close,
        routes=(webhook_route(parts),),
        cors_origins=parts.settings.cors_origins or (),
    )
