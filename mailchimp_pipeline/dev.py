"""`mailchimp-pipeline dev`: everything on one machine, with Dagster's UI, until Ctrl-C."""

import signal
import threading
from contextlib import ExitStack, closing
from types import FrameType

from rich.console import Console

from mailchimp_pipeline import playground
from mailchimp_pipeline.assembly import open_parts
from mailchimp_pipeline.local_stack import LocalStack, expect_free, local_stack, wait_for_port, workspace_arguments
from mailchimp_pipeline.sandbox import SandboxControl
from mailchimp_pipeline.settings import Settings

_LOOK_EVERY_SECONDS = 1.0


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


def _start_dagster(stack: LocalStack) -> None:
    expect_free(stack.settings.ui_port, what="Dagster's UI", setting="ui_port")
    stack.start("dagster-daemon", "dagster-daemon", "run", *workspace_arguments())
    port = str(stack.settings.ui_port)
    stack.start("dagster-webserver", "dagster-webserver", "-h", "127.0.0.1", "-p", port, *workspace_arguments())
    wait_for_port(stack.settings.ui_port, stack.children, what="Dagster's UI")
