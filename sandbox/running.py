"""Runs a sandbox in a thread of this process (for tests) or as a process of its own."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from mailchimp_pipeline.clock import Clock, utc_now
from sandbox.control import Controls
from sandbox.model.hooks import Callback, Hook
from sandbox.model.state import SandboxState
from sandbox.server import LOOPBACK, Server, in_thread, listen
from sandbox.setup import Setup
from sandbox.web.app import API_PATH, build_app
from sandbox.webhook_sender import WebhookSender


class Sandbox(Controls):
    """A running sandbox with its URL and control operations."""

    def __init__(self, state: SandboxState, sender: WebhookSender, port: int) -> None:
        """Operate on the sandbox at a port. `running` and `serve` create instances."""
        super().__init__(state, sender)
        self.port = port

    @property
    def url(self) -> str:
        """The root URL, for `SandboxControl`."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def api_root(self) -> str:
        """The root URL of the API, for `MAILCHIMP_API_ROOT`."""
        return f"{self.url}{API_PATH}"

    def on_call(self, hook: Hook, callback: Callback) -> None:
        """Run a callback in a thread when the hook fires. The call waits for the callback."""
        with self._state.lock:
            self._state.hooks.add(hook, callback)

    @classmethod
    @contextmanager
    def running(cls, port: int = 0, *, clock: Clock = utc_now, seed: int = 0) -> "Generator[Sandbox]":
        """Run a sandbox in a thread until the end of the block. Port 0 selects a free port."""
        with listen(port) as listener, _state_with_delivery(clock, seed) as (state, sender):
            sandbox = cls(state, sender, listener.getsockname()[1])
            with in_thread(build_app(state, sandbox), listener):
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
    with listen(port) as listener, _state_with_delivery(clock, seed) as (state, sender):
        sandbox = Sandbox(state, sender, listener.getsockname()[1])
        (setup or Setup()).apply(sandbox)

        def announce() -> None:
            if on_ready is not None:
                on_ready(sandbox)

        Server(build_app(state, sandbox), announce).run([listener])


@contextmanager
def _state_with_delivery(clock: Clock, seed: int) -> "Generator[tuple[SandboxState, WebhookSender]]":
    """Create empty state, and deliver its webhooks until the end of the block."""
    sender = WebhookSender(lambda: state.behaviours, lambda: state.now())  # noqa: PLW0108 -- made below
    state = SandboxState(clock, seed, sender.send)
    sender.start()
    try:
        yield state, sender
    finally:
        sender.stop()
