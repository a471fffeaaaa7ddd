"""The command `mailchimp-pipeline`. Each command parses, calls, prints; a foreseen failure prints its text, exit 1.

What does not belong here: what a command does (`demo`, `dev`, `doctor`, `requested_sync`, `database`).
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Annotated, ParamSpec

import typer
from rich.console import Console

from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.settings import Settings

_P = ParamSpec("_P")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Syncs employees and vendors of many organisations into their Mailchimp audiences.",
)
keys = typer.Typer(no_args_is_help=True, help="Encryption keys of the API keys at rest.")
app.add_typer(keys, name="keys")

_WIDTH_OF_A_FILE = 160

# Into a file or a pipe rich would break tables at 80 characters.
out = Console() if sys.stdout.isatty() else Console(width=_WIDTH_OF_A_FILE)
err = Console(stderr=True)


def _explained(command: Callable[_P, None]) -> Callable[_P, None]:
    """Print a foreseen failure as its text, without a stack."""

    @wraps(command)
    def explained(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except PipelineError as error:
            err.print(f"[red]{type(error).__name__}[/]: {error}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    return explained


@app.command()
@_explained
def demo() -> None:
    """Do the main job once, on embedded parts and sample data, and print what was synced."""
    from mailchimp_pipeline.demo import run_demo  # noqa: PLC0415 - each command loads only what it needs

    run_demo(out)


@app.command()
@_explained
def dev() -> None:
    """Bring all of it up, with Dagster's UI, and stay until Ctrl-C."""
    from mailchimp_pipeline.dev import run_dev  # noqa: PLC0415

    run_dev(Settings.from_environment(), out)


@app.command()
@_explained
def migrate() -> None:
    """Bring the database's tables to this version."""
    from mailchimp_pipeline.assembly import open_parts  # noqa: PLC0415
    from mailchimp_pipeline.database import migrations  # noqa: PLC0415

    with open_parts() as parts:
        migrations.migrate(parts.database_url)
        out.print(f"The database is at revision {migrations.current_revision(parts.database)}.")


@app.command()
@_explained
def sandbox(
    port: Annotated[int | None, typer.Option(help="Port; MAILCHIMP_PIPELINE_SANDBOX_PORT if left out.")] = None,
    latency_ms: Annotated[int, typer.Option(help="How long each answer takes, in milliseconds.", min=0)] = 0,
) -> None:
    """Serve a faithful Mailchimp on this machine, until Ctrl-C."""
    from mailchimp_pipeline.sandbox import Behaviours, Setup, serve  # noqa: PLC0415

    setup = Setup(behaviours=Behaviours(latency_ms=latency_ms))
    settings = Settings.from_environment()
    serve(
        settings.sandbox_port if port is None else port,
        setup,
        on_ready=lambda sandbox: out.print(f"MAILCHIMP_API_ROOT={sandbox.api_root}"),
    )


@app.command()
@_explained
def sync(
    organisation: Annotated[str, typer.Option(help="The organisation's id.")],
    segment: Annotated[str | None, typer.Option(help="One segment's id; all of the organisation if left out.")] = None,
    wait: Annotated[int, typer.Option(help="How many seconds to wait for the end.", min=0)] = 600,
) -> None:
    """Ask Dagster for a sync, wait, and print how each segment ended. Dagster's daemon must be running."""
    from mailchimp_pipeline.requested_sync import request_and_wait  # noqa: PLC0415

    if not request_and_wait(organisation, segment, wait_seconds=wait, console=out):
        raise typer.Exit(1)


@keys.command()
@_explained
def rotate() -> None:
    """Encrypt every stored secret anew with the first of MAILCHIMP_PIPELINE_ENCRYPTION_KEYS."""
    from mailchimp_pipeline.assembly import open_parts  # noqa: PLC0415
    from mailchimp_pipeline.database.key_rotation import rotate as rotate_keys  # noqa: PLC0415

    with open_parts() as parts:
        count = rotate_keys(parts.database, parts.keyring, by="command line", at=datetime.now(UTC))
    out.print(f"{count} secrets were encrypted anew; keys after the first are no longer needed.")


@app.command()
@_explained
def doctor() -> None:
    """Look at everything the pipeline needs, and say what is missing and what to do."""
    from mailchimp_pipeline.doctor import examine  # noqa: PLC0415

    if not examine(out):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line."""
    sys.exit(app())
