"""A sandbox that runs: in a thread of this process for tests, or as all that a process does.

What does not belong here: its operations (`control`), a sandbox in another process (`remote`).
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from mailchimp_pipeline.clock import Clock, utc_now
from sandbox.control import Controls
from sandbox.courier import Courier
from sandbox.model.hooks import Act, Hook
from sandbox.model.world import World
from sandbox.server import LOOPBACK, Server, in_thread, listen
from sandbox.setup import Setup
from sandbox.web.app import API_PATH, build_app


class Sandbox(Controls):
    """A sandbox, its address, and all operations on it."""

    def __init__(self, world: World, courier: Courier, port: int) -> None:
        """Operate on what is served at a port; use `running` or `serve` to have one."""
        super().__init__(world, courier)
        self.port = port

    @property
    def url(self) -> str:
        """The root of the server, for `SandboxControl`."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def api_root(self) -> str:
        """The root of the API, as `MAILCHIMP_API_ROOT` wants it."""
        return f"{self.url}{API_PATH}"

    def on_call(self, hook: Hook, act: Act) -> None:
        """Do anything at the moment that the hook names, in a thread of its own; the call waits for it."""
        with self._world.lock:
            self._world.hooks.add(hook, act)

    @classmethod
    @contextmanager
    def running(cls, port: int = 0, *, clock: Clock = utc_now, seed: int = 0) -> "Generator[Sandbox]":
        """Serve a sandbox in a thread of this process until the end of the block; port 0 takes a free one."""
        with listen(port) as listener, _delivering(clock, seed) as (world, courier):
            sandbox = cls(world, courier, listener.getsockname()[1])
            with in_thread(build_app(world, sandbox), listener):
                yield sandbox


def serve(
    port: int,
    setup: Setup | None = None,
    *,
    clock: Clock = utc_now,
    seed: int = 0,
    on_ready: Callable[[Sandbox], None] | None = None,
) -> None:
    """Serve a sandbox in this process until it is interrupted; `on_ready` is told once it answers."""
    with listen(port) as listener, _delivering(clock, seed) as (world, courier):
        sandbox = Sandbox(world, courier, listener.getsockname()[1])
        (setup or Setup()).apply(sandbox)

        def tell() -> None:
            if on_ready is not None:
                on_ready(sandbox)

        Server(build_app(world, sandbox), tell).run([listener])


@contextmanager
def _delivering(clock: Clock, seed: int) -> "Generator[tuple[World, Courier]]":
    """Make an empty world whose webhooks are delivered until the end of the block."""
    courier = Courier(lambda: world.behaviours, lambda: world.now())  # noqa: PLW0108 -- made below
    world = World(clock, seed, courier.send)
    courier.start()
    try:
        yield world, courier
    finally:
        courier.stop()
