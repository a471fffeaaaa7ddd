"""The ASGI application of a sandbox: the API and the control operations."""

from starlette.applications import Starlette
from starlette.routing import Route

from sandbox.control import Controls
from sandbox.model.world import World
from sandbox.web import abuse_reports, campaigns, lists, members, merge_fields, segments, webhooks
from sandbox.web.control import ControlSurface
from sandbox.web.endpoints import Routes
from sandbox.web.gate import Gate

API_PATH = "/3.0"
CONTROL_PATH = "/sandbox"

_AREAS = (lists, members, abuse_reports, merge_fields, segments, webhooks, campaigns)


def build_app(world: World, controls: Controls) -> Starlette:
    """Return the ASGI application."""
    gate = Gate(world, Routes(endpoint for area in _AREAS for endpoint in area.ENDPOINTS))
    surface = ControlSurface(controls)
    return Starlette(
        routes=[
            Route(API_PATH, gate),
            Route(f"{API_PATH}/{{path:path}}", gate),
            Route(f"{CONTROL_PATH}/{{operation}}", surface.answer, methods=["GET", "POST"]),
        ],
    )
