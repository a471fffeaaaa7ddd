"""The HTTP server of the sandbox."""

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, cast

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mailchimp_pipeline.errors import PermanentError

if TYPE_CHECKING:
    from starlette.types import Scope

LOOPBACK = "127.0.0.1"

_START_SECONDS = 60
_STOP_SECONDS = 60
_GRACE_SECONDS = 1


class SandboxStartError(PermanentError):
    """The sandbox did not start."""


class Protocol(HttpToolsProtocol):
    """Gives each request its transport, so that a fault can cut the connection."""

    def on_message_begin(self) -> None:
        """Put the transport into the request's scope."""
        super().on_message_begin()
        cast("Scope", self.scope)["state"]["transport"] = self.transport


class Server(uvicorn.Server):
    """A server that reports when it is ready."""

    def __init__(self, app: Starlette, on_ready: Callable[[], None]) -> None:
        """Serve an application without an access log, since paths may contain addresses."""
        config: Any = {
            "http": Protocol,
            "ws": "none",
            "lifespan": "off",
            "access_log": False,
            "log_config": None,
            "server_header": False,
            "date_header": False,  # the sandbox sends the Date of Mailchimp's clock
            "proxy_headers": False,
            "timeout_graceful_shutdown": _GRACE_SECONDS,
        }
        super().__init__(uvicorn.Config(app, **config))
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the server, then call `on_ready`."""
        await super().startup(sockets)
        self._on_ready()


def listen(port: int) -> socket.socket:
    """Return a listening socket on loopback. Port 0 selects a free port."""
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        msg = f"The sandbox cannot listen on {LOOPBACK}:{port}: {error.strerror}. Use another port."
        raise SandboxStartError(msg) from error


@contextmanager
def in_thread(app: Starlette, listener: socket.socket) -> Generator[None]:
    """Run the server in a thread until the end of the block."""
    ready = Event()
    server = Server(app, ready.set)
    thread = Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_SECONDS):
            msg = f"The sandbox was not ready after {_START_SECONDS} s. See the log of uvicorn."
            raise SandboxStartError(msg)
        yield
    finally:
        server.should_exit = True
        thread.join(_STOP_SECONDS)
        listener.close()
