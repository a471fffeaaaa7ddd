"""`mailchimp-pipeline dev`: everything on one machine, with Dagster's UI, until Ctrl-C; and its sandbox alone."""

import signal
import threading
from contextlib import ExitStack, closing
from types import FrameType

from rich.console import Console

from mailchimp_pipeline import playground
from mailchimp_pipeline.assembly import open_parts
from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.local import keep_sandbox
from mailchimp_pipeline.local_stack import (
    LocalStack,
    expect_free,
    local_stack,
    sample_data,
    wait_for_port,
    workspace_arguments,
)
from mailchimp_pipeline.sandbox import Behaviours, Sandbox, SandboxControl, Setup, serve
from mailchimp_pipeline.settings import Settings

_LOOK_EVERY_SECONDS = 1.0


class NotOnThisMachine(LastingError):
    """The sample organisations are in the embedded database alone."""

    def __init__(self) -> None:
        super().__init__(
            "MAILCHIMP_PIPELINE_DATABASE_URL is set, and sample organisations belong into no database but the embedded "
            "one: what is known of their audiences is forgotten there. Unset it, or leave --sample out."
        )


def run_dev(settings: Settings, console: Console) -> None:
    """Bring all of it up and stay. Raises `processes.ChildEnded` where a part ends by itself."""
    stop = threading.Event()

    def stop_at(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_at)
    with ExitStack() as running:
        with console.status("Starting PostgreSQL and the Mailchimp sandbox"):
            stack = running.enter_context(local_stack(settings))
        console.print(f"Local state is in {settings.home}, logs of each part in {settings.home / 'logs'}.")
        stack.start_api()
        if stack.sandbox_url:
            with open_parts(stack.settings) as parts, closing(SandboxControl(stack.sandbox_url)) as sandbox:
                playground.settle(parts, sandbox, stack.dashboard)
            sample = sample_data(settings.home) if settings.source is None else None
            keep_sandbox(settings.home, stack.settings.api_root, sample)
        with console.status("Starting Dagster"):
            _start_dagster(stack)
        console.print(f"Dagster's UI     http://127.0.0.1:{settings.ui_port}")
        console.print(f"API              http://127.0.0.1:{settings.api_port}/docs")
        console.print("                 `mailchimp-pipeline token --organisation acme --actor you --role admin`")
        if stack.sandbox_url:
            console.print(f"Mailchimp        the sandbox, {stack.settings.api_root}")
        console.print("Ctrl-C ends all of it.")
        while not stop.wait(_LOOK_EVERY_SECONDS):
            stack.children.check()
        console.print("Stopping.")


def run_sample_sandbox(settings: Settings, port: int, behaviours: Behaviours, console: Console) -> None:
    """Serve the sandbox as `run_dev` has it, with the sample organisations' accounts, until Ctrl-C."""
    if settings.database_url:
        raise NotOnThisMachine
    expect_free(port, what="The Mailchimp sandbox", setting="sandbox_port")
    with open_parts(settings) as parts:
        playground.forget(parts)

    def tell(sandbox: Sandbox) -> None:
        keep_sandbox(settings.home, sandbox.api_root, sample_data(settings.home))
        console.print(f"MAILCHIMP_API_ROOT={sandbox.api_root}")

    serve(port, Setup(accounts=playground.accounts(), behaviours=behaviours), on_ready=tell)


def _start_dagster(stack: LocalStack) -> None:
    expect_free(stack.settings.ui_port, what="Dagster's UI", setting="ui_port")
    stack.start("dagster-daemon", "dagster-daemon", "run", *workspace_arguments())
    port = str(stack.settings.ui_port)
    stack.start("dagster-webserver", "dagster-webserver", "-h", "127.0.0.1", "-p", port, *workspace_arguments())
    wait_for_port(stack.settings.ui_port, stack.children, what="Dagster's UI")
