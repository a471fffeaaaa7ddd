"""The API as it runs: the parts from the settings, the procedures over them, and the application around both.

What does not belong here: what the application is (`app`), how it is served (`serving`).
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from fastapi import FastAPI
from starlette.requests import HTTPConnection

from api.app import ApiParts, create_app
from api.auth import authenticator
from api.error_mapping import translate
from api.procedures.context import PATIENCE, Context, Patience
from api.procedures.registry import PROCEDURES
from api.webhooks import webhook_route
from mailchimp_pipeline.database.metrics import pipeline_figures
from mailchimp_pipeline.database.migrations import require_tables
from mailchimp_pipeline.database.session import TimeLimits
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings

TIME_LIMITS = TimeLimits(statement_seconds=30, lock_seconds=10)
"""Of the API's transactions: a statement that hangs must not hold a thread for ever."""


def build_app(settings: Settings | None = None, *, time_limits: TimeLimits = TIME_LIMITS) -> FastAPI:
    """Return the application for these settings, or the environment's; it closes its parts when it ends.

    Raises `SettingsError` and `KeyringInvalid`. A database that is away is no error here: `/readyz` tells of it.
    """
    with ExitStack() as opened:
        parts = opened.enter_context(open_resources(settings, time_limits=time_limits))
        kept = ExitStack()
        app = create_app(api_parts(parts, close=kept.close))
        kept.push(opened.pop_all())
        return app


def api_parts(
    parts: Resources, *, patience: Patience = PATIENCE, close: Callable[[], None] = lambda: None
) -> ApiParts[Context]:
    """Return what the application is made of, over the pipeline's parts; `close` is called after the last call."""
    # The keyring is made now: a key that cannot be used shows at the start, not at the first call that needs it.
    authenticate = authenticator(parts.settings, parts.keyring)

    def make_context(connection: HTTPConnection) -> Context:
        return Context(authenticate(connection), parts, patience)

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
