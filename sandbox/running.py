"""Runs a sandbox in a thread of this process (for tests) or as a process of its own."""

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
    """A running sandbox with its URL and control operations."""

    def __init__(self, world: World, courier: Courier, port: int) -> None:
        """Operate on the sandbox at a port. `running` and `serve` create instances."""
        super().__init__(world, courier)
        self.port = port

    @property
    def url(self) -> str:
        """The root URL, for `SandboxControl`."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def api_root(self) -> str:
        """The root URL of the API, for `MAILCHIMP_API_ROOT`."""
        return f"{self.url}{API_PATH}"

    def on_call(self, hook: Hook, act: Act) -> None:
        """Run a callback in a thread when the hook fires. The call waits for the callback."""
        with self._world.lock:
            self._world.hooks.add(hook, act)

    @classmethod
    @contextmanager
    def running(cls, port: int = 0, *, clock: Clock = utc_now, seed: int = 0) -> "Generator[Sandbox]":
        """Run a sandbox in a thread until the end of the block. Port 0 selects a free port."""
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
    """Run a sandbox in this process until it is interrupted. `on_ready` is called when it accepts calls."""
    with listen(port) as listener, _delivering(clock, seed) as (world, courier):
        sandbox = Sandbox(world, courier, listener.getsockname()[1])
        (setup or Setup()).apply(sandbox)

        def tell() -> None:
            if on_ready is not None:
                on_ready(sandbox)

        Server(build_app(world, sandbox), tell).run([listener])


@contextmanager
def _delivering(clock: Clock, seed: int) -> "Generator[tuple[World, Courier]]":
    """Create empty state, and deliver its webhooks until the end of the block."""
    courier = Courier(lambda: world.behaviours, lambda: world.now())  # noqa: PLW0108 -- made below
    world = World(clock, seed, courier.send)
    courier.start()
    try:
        yield world, courier
    finally:
        courier.stop()
