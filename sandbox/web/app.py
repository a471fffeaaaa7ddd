"""The ASGI application of a sandbox: the API and the control operations."""

from starlette.applications import Starlette
from starlette.routing import Route

from sandbox.control import Controls
from sandbox.model.state import SandboxState
from sandbox.web import abuse_reports, campaigns, lists, members, merge_fields, segments, webhooks
from sandbox.web.api_application import ApiApplication
from sandbox.web.control import ControlRoutes
from sandbox.web.endpoints import Routes

API_PATH = "/3.0"
CONTROL_PATH = "/sandbox"

_AREAS = (lists, members, abuse_reports, merge_fields, segments, webhooks, campaigns)


def build_app(state: SandboxState, controls: Controls) -> Starlette:
    """Return the ASGI application."""
    gate = ApiApplication(state, Routes(endpoint for area in _AREAS for endpoint in area.ENDPOINTS))
    surface = ControlRoutes(controls)
    return Starlette(
        routes=[
            Route(API_PATH, gate),
            Route(f"{API_PATH}/{{path:path}}", gate),
            Route(f"{CONTROL_PATH}/{{operation}}", surface.answer, methods=["GET", "POST"]),
        ],
    )
