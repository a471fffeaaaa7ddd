"""`mailchimp-pipeline dev` runs the whole pipeline on one machine, until Ctrl-C.

`mailchimp-pipeline sandbox` runs only the Mailchimp sandbox.
"""

import signal
import threading
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from types import FrameType

from rich.console import Console

from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.embedded.local_state import keep_sandbox
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline.local import sample_organisations
from mailchimp_pipeline.local.sample_organisations import ORGANISATIONS
from mailchimp_pipeline.local.stack import (
    LocalStack,
    SandboxStack,
    expect_for_the_sandbox,
    expect_free,
    own_stack,
    sample_data,
    sandbox_stack,
    wait_for_port,
    workspace_arguments,
)
from mailchimp_pipeline.settings import Settings
from sandbox import Behaviours, Sandbox, SandboxControl, Setup, serve

_LOOK_EVERY_SECONDS = 1.0


def run_dev(settings: Settings, console: Console) -> None:
    """Start all processes, and wait for Ctrl-C. Raises `processes.ChildEnded` if a process ends by itself."""
    stop = threading.Event()

    def stop_at(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    # A closed terminal sends SIGHUP.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop_at)
    with _running(settings, console) as stack:
        if isinstance(stack, SandboxStack):
            console.print(f"Dashboard        {stack.sign_in_link(ORGANISATIONS[0].id)}", soft_wrap=True)
        console.print("                 `mailchimp-pipeline sign-in --organisation acme --actor you --role admin`")
        console.print(f"Dagster's UI     http://127.0.0.1:{settings.ui_port}")
        console.print(f"API              http://127.0.0.1:{settings.api_port}/openapi.json")
        console.print("                 `mailchimp-pipeline token --organisation acme --actor you --role admin`")
        if "api_root" not in settings.model_fields_set:
            console.print(f"Mailchimp        the sandbox, {stack.settings.api_root}")
        console.print("Ctrl-C ends all of it.")
        while not stop.wait(_LOOK_EVERY_SECONDS):
            stack.children.check()
        # A closed terminal cannot print.
        with suppress(OSError):
            console.print("Stopping.")


@contextmanager
def _running(settings: Settings, console: Console) -> Generator[LocalStack]:
    """Start all processes, and yield their stack. The sandbox is started unless `MAILCHIMP_API_ROOT` is set."""
    stack = _own(settings, console) if "api_root" in settings.model_fields_set else _with_sandbox(settings, console)
    with stack as running:
        with console.status("Starting Dagster"):
            _start_dagster(running)
        yield running


@contextmanager
def _own(settings: Settings, console: Console) -> Generator[LocalStack]:
    with own_stack(settings) as stack:
        _tell_where(settings, console)
        stack.start_api()
        yield stack


@contextmanager
def _with_sandbox(settings: Settings, console: Console) -> Generator[LocalStack]:
    with sandbox_stack(settings) as stack, closing(SandboxControl(stack.sandbox_url)) as sandbox:
        _tell_where(settings, console)
        stack.start_api()
        sample_organisations.set_up(stack, sandbox)
        sample = sample_data(settings.home) if settings.source is None else None
        keep_sandbox(settings.home, stack.settings.api_root, sample)
        yield stack


def _tell_where(settings: Settings, console: Console) -> None:
    console.print(f"Local state is in {settings.home}, logs of each part in {settings.home / 'logs'}.")


def run_sandbox(settings: Settings, port: int, latency_ms: int, console: Console, *, sample: bool) -> None:
    """Serve the sandbox until Ctrl-C: empty, or with the accounts of the sample organisations."""
    behaviours = Behaviours(latency_ms=latency_ms)
    if sample:
        _run_sample_sandbox(settings, port, behaviours, console)
        return
    serve(
        port,
        Setup(behaviours=behaviours),
        on_ready=lambda sandbox: console.print(f"MAILCHIMP_API_ROOT={sandbox.api_root}"),
    )


def _run_sample_sandbox(settings: Settings, port: int, behaviours: Behaviours, console: Console) -> None:
    expect_for_the_sandbox(settings)
    expect_free(port, what="The Mailchimp sandbox", setting="sandbox_port")
    with EmbeddedServer(settings.home) as server:
        migrate(server.database_url)
        sample_organisations.forget(server)

    def tell(sandbox: Sandbox) -> None:
        keep_sandbox(settings.home, sandbox.api_root, sample_data(settings.home))
        console.print(f"MAILCHIMP_API_ROOT={sandbox.api_root}")

    serve(port, Setup(accounts=sample_organisations.accounts(), behaviours=behaviours), on_ready=tell)


def _start_dagster(stack: LocalStack) -> None:
    expect_free(stack.settings.ui_port, what="Dagster's UI", setting="ui_port")
    stack.start("dagster-daemon", "dagster-daemon", "run", *workspace_arguments())
    port = str(stack.settings.ui_port)
    stack.start("dagster-webserver", "dagster-webserver", "-h", "127.0.0.1", "-p", port, *workspace_arguments())
    wait_for_port(stack.settings.ui_port, stack.children, what="Dagster's UI")
