"""The server: its socket, the settings of uvicorn, start and shutdown.

After SIGTERM or Ctrl-C it accepts no connections, finishes the open calls, and closes the application's resources.
"""

import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from mailchimp_pipeline.errors import PermanentError

LOOPBACK = "127.0.0.1"

GRACE_SECONDS = 20
"""How many seconds open requests may take after the signal. An orchestrator should wait a little longer."""

_KEEP_ALIVE_SECONDS = 15
_LOOK_SECONDS = 0.05


class ApiNotStarted(PermanentError):
    """The API cannot be served."""


class ApiServer(uvicorn.Server):
    """Reports when it is ready, and logs no requests: URLs contain the inputs of queries."""

    def __init__(
        self,
        app: ASGIApp,
        on_ready: Callable[[], None],
        grace_seconds: int = GRACE_SECONDS,
    ) -> None:
        config: Any = {
            "ws": "none",
            "lifespan": "on",
            "access_log": False,
            "log_config": None,
            "server_header": False,
            "proxy_headers": False,
            "timeout_keep_alive": _KEEP_ALIVE_SECONDS,
            "timeout_graceful_shutdown": grace_seconds,
        }
        super().__init__(uvicorn.Config(app, **config))
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, and call `on_ready`."""
        await super().startup(sockets)
        self._on_ready()


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """Return a listening socket. Port 0 takes a free port. Raises `ApiNotStarted` if the port cannot be used."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise ApiNotStarted(
            f"The API cannot listen on {host}:{port}: {error.strerror}. "
            "Stop the program that does, or set MAILCHIMP_PIPELINE_API_PORT to another port."
        ) from error


def serve(app: ASGIApp, listener: socket.socket, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve in this process until a signal ends it. Call `on_ready` once the server answers."""
    ApiServer(app, on_ready).run([listener])


@contextmanager
def in_thread(app: ASGIApp, *, grace_seconds: int = GRACE_SECONDS) -> Generator[str]:
    """Serve in a thread during the block, on a free port of 127.0.0.1. Yield the URL."""
    ready = Event()
    with listen(0) as listener:
        server = ApiServer(app, ready.set, grace_seconds)
        thread = Thread(target=_run, args=(server, listener), name="api")
        thread.start()
        try:
            _await_start(ready, thread)
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _run(server: ApiServer, listener: socket.socket) -> None:
    # uvicorn raises it if the application cannot start; `_await_start` reports that.
    with suppress(SystemExit):
        server.run([listener])


def _await_start(ready: Event, thread: Thread) -> None:
    while not ready.wait(_LOOK_SECONDS):
        if not thread.is_alive():
            raise ApiNotStarted("The API did not start: see its log.")
