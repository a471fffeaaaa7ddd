"""tRPC over HTTP, as the published TypeScript clients speak it (httpLink, httpBatchLink, httpBatchStreamLink).

Declare procedures on a `Router`, collect them in `Procedures`, and serve them with a `TrpcServer`. The types
(`api.app_router`) and the OpenAPI document (`api.openapi`) come from the same `Procedures`. Handlers are plain
functions that run in threads. What does not belong here: what procedures do, authentication.

    segments = Router[Caller]("mailchimp.segments")

    @segments.query("get")
    def get_segment(caller: Caller, wanted: SegmentId) -> SegmentView: ...

    procedures = Procedures(segments, campaigns)
    server = TrpcServer(procedures, make_context=authenticate, hooks=CallHooks(on_error=log_failure))
    app.router.routes.append(server.route)  # and `await server.close()` when the application ends
"""

from api.trpc.calls import CallHooks
from api.trpc.concurrency import Concurrency, ConcurrencyLimit
from api.trpc.error_codes import CODES, Code, TRPCError
from api.trpc.procedures import (
    DeclarationError,
    Identified,
    Kind,
    Procedure,
    Procedures,
    Role,
    Router,
    UtcTime,
    WireModel,
)
from api.trpc.requests import Limits
from api.trpc.server import TrpcServer

__all__ = [
    "CODES",
    "CallHooks",
    "Code",
    "Concurrency",
    "ConcurrencyLimit",
    "DeclarationError",
    "Identified",
    "Kind",
    "Limits",
    "Procedure",
    "Procedures",
    "Role",
    "Router",
    "TRPCError",
    "TrpcServer",
    "UtcTime",
    "WireModel",
]
