"""The commands. Each parses its arguments, calls a function, and prints the result.

A `PipelineError` is printed as its text, with exit code 1. The demo, `dev` and `sandbox` need a checkout of the
repository, because the installed package does not have the sandbox.
"""

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from functools import wraps
from importlib.util import find_spec
from typing import Annotated, ParamSpec

import typer
from rich.console import Console
from rich.markup import escape

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.errors import PermanentError, PipelineError
from mailchimp_pipeline.settings import Settings


class NotACheckout(PermanentError):
    """The command needs the sandbox, which is not in the installed package."""

    def __init__(self) -> None:
        super().__init__(
            "This command needs the Mailchimp sandbox, which is not a part of the installed package. Run it from a "
            "checkout of the repository: `make demo`, `make dev`, or `.venv/bin/mailchimp-pipeline sandbox`."
        )


def require_sandbox() -> None:
    """Raise `NotACheckout` if the sandbox is not available."""
    if find_spec("sandbox") is None:
        raise NotACheckout


_P = ParamSpec("_P")

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Syncs employees and vendors of many organisations into their Mailchimp audiences.",
)
keys = typer.Typer(no_args_is_help=True, help="Manage the keys that encrypt stored secrets.")
app.add_typer(keys, name="keys")
erasures = typer.Typer(no_args_is_help=True, help="List and confirm erasures that Mailchimp has not confirmed yet.")
app.add_typer(erasures, name="erasures")

_WIDTH_OF_A_FILE = 160

# In a file or a pipe, rich would use 80 characters, too few for tables.
out = Console() if sys.stdout.isatty() else Console(width=_WIDTH_OF_A_FILE)
err = Console(stderr=True)


class TokenRole(StrEnum):
    """The role of a token: a viewer reads, an editor also changes, an admin also connects and erases."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


class NoTokenSecret(PermanentError):
    """The secret that signs tokens is not set."""

    def __init__(self) -> None:
        super().__init__(
            "MAILCHIMP_PIPELINE_TOKEN_SECRET is not set, so tokens cannot be made here. Set it, or get a token from "
            "the identity provider at MAILCHIMP_PIPELINE_JWKS_URL."
        )


def _print_errors(command: Callable[_P, None]) -> Callable[_P, None]:
    """Return the command, changed to print a `PipelineError` as its text, without a stack, and to exit with code 1."""

    @wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        # Files that the command and its children write are for the user only.
        os.umask(0o077)
        try:
            command(*args, **kwargs)
        except PipelineError as error:
            err.print(f"[red]{type(error).__name__}[/]: {escape(str(error))}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    return wrapped


@app.command()
@_print_errors
def demo() -> None:
    """Run the main job once, with sample data and nothing to set up, and print what was synced."""
    require_sandbox()
    from mailchimp_pipeline.local.demo import run_demo

    run_demo(out)


@app.command()
@_print_errors
def dev() -> None:
    """Start everything on this machine, with Dagster's UI, until Ctrl-C."""
    require_sandbox()
    from mailchimp_pipeline.local.dev import run_dev

    run_dev(Settings.from_environment(), out)


@app.command()
@_print_errors
def api(
    port: Annotated[int | None, typer.Option(help="Port; by default MAILCHIMP_PIPELINE_API_PORT.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; use 0.0.0.0 in a container.")] = "127.0.0.1",
) -> None:
    """Serve the API that the platform's dashboard calls, until Ctrl-C."""
    from api.app import build_app
    from api.serving import listen, serve
    from mailchimp_pipeline.logs import configure_logging

    configure_logging()
    settings = Settings.from_environment()
    serve(build_app(settings), listen(settings.api_port if port is None else port, host))


@app.command()
@_print_errors
def token(
    organisation: Annotated[str, typer.Option(help="The organisation's id.")],
    actor: Annotated[str, typer.Option(help="Who calls, for the audit log.")],
    role: Annotated[TokenRole, typer.Option(help="What the caller may do.")] = TokenRole.VIEWER,
    hours: Annotated[int, typer.Option(help="For how many hours the token is valid.", min=1)] = 12,
) -> None:
    """Print a bearer token for the API, for development."""
    from api.auth import AUDIENCE

    made, _ = _made_token(organisation, actor, role, timedelta(hours=hours), AUDIENCE)
    sys.stdout.write(f"{made}\n")


@app.command("sign-in")
@_print_errors
def sign_in(
    organisation: Annotated[str, typer.Option(help="The organisation's id.")],
    actor: Annotated[str, typer.Option(help="Who signs in, for the audit log.")],
    role: Annotated[TokenRole, typer.Option(help="What the person may do.")] = TokenRole.VIEWER,
    minutes: Annotated[int, typer.Option(help="For how many minutes the link is valid.", min=1, max=60)] = 15,
) -> None:
    """Print a link that signs a browser in to the dashboard, once."""
    from api.auth import SIGN_IN_AUDIENCE
    from api.dashboard import sign_in_link

    made, settings = _made_token(organisation, actor, role, timedelta(minutes=minutes), SIGN_IN_AUDIENCE)
    sys.stdout.write(f"{sign_in_link(settings.public_url or f'http://127.0.0.1:{settings.api_port}', made)}\n")


def _made_token(
    organisation: str, actor: str, role: TokenRole, lifetime: timedelta, audience: str
) -> tuple[str, Settings]:
    """Return a token that is signed with the settings' secret, and the settings. Raises `NoTokenSecret`."""
    from api.auth import make_token
    from api.trpc import Role
    from mailchimp_pipeline.embedded.local_state import local_state

    settings = local_state(Settings.from_environment())
    secret = settings.token_secret
    if secret is None:
        raise NoTokenSecret
    made = make_token(
        secret.get_secret_value(),
        organisation_id=organisation,
        actor=actor,
        role=Role(role),
        now=utc_now(),
        lifetime=lifetime,
        issuer=settings.token_issuer,
        audience=audience,
    )
    return made, settings


@app.command()
@_print_errors
def actor(
    subject: Annotated[str, typer.Argument(help="The `sub` of the caller's tokens.")],
    organisation: Annotated[str, typer.Option(help="The organisation's id.")],
) -> None:
    """Print the names of a caller in the audit log. An e-mail address has a name for each encryption key."""
    from mailchimp_pipeline.database.audit_log import actor_names
    from mailchimp_pipeline.database.encryption import Keyring
    from mailchimp_pipeline.embedded.local_state import local_state

    settings = local_state(Settings.from_environment())
    keyring = Keyring.parse(settings.encryption_keys.get_secret_value())
    for name in actor_names(keyring, organisation, subject):
        sys.stdout.write(f"{name}\n")


@app.command()
@_print_errors
def migrate() -> None:
    """Bring the database tables up to this version."""
    from mailchimp_pipeline.database import migrations
    from mailchimp_pipeline.services.resources import open_resources

    with open_resources() as resources:
        migrations.migrate(resources.database_url)
        out.print(f"The database is at revision {migrations.current_revision(resources.database)}.")


@app.command()
@_print_errors
def sandbox(
    port: Annotated[int | None, typer.Option(help="Port; by default MAILCHIMP_PIPELINE_SANDBOX_PORT.")] = None,
    latency_ms: Annotated[int, typer.Option(help="How long each answer takes, in milliseconds.", min=0)] = 0,
    *,
    sample: Annotated[
        bool, typer.Option("--sample", help="Include the accounts of the sample organisations, as `dev` does.")
    ] = False,
) -> None:
    """Serve the Mailchimp sandbox on this machine, until Ctrl-C."""
    require_sandbox()
    from mailchimp_pipeline.local.dev import run_sandbox

    settings = Settings.from_environment()
    run_sandbox(settings, settings.sandbox_port if port is None else port, latency_ms, out, sample=sample)


@app.command()
@_print_errors
def sync(
    organisation: Annotated[str, typer.Option(help="The organisation's id.")],
    segment: Annotated[str | None, typer.Option(help="One segment's id; by default all of the organisation.")] = None,
    wait: Annotated[int, typer.Option(help="How many seconds to wait for the sync to end.", min=0)] = 600,
    *,
    confirm_departures: Annotated[
        bool,
        typer.Option("--confirm-departures", help="Let members leave even if they are more than half of the segment."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what a sync would do now.")] = False,
) -> None:
    """Ask Dagster for a sync, wait, and print how each segment ended. Dagster's daemon must be running.

    With --dry-run, nothing is sent or written, and Dagster is not needed.
    """
    from mailchimp_pipeline.cli.sync import preview_and_print, request_and_wait

    if dry_run:
        preview_and_print(organisation, segment, console=out)
    elif not request_and_wait(
        organisation, segment, wait_seconds=wait, console=out, departures_confirmed=confirm_departures
    ):
        raise typer.Exit(1)


@app.command()
@_print_errors
def reconcile(
    organisation: Annotated[str | None, typer.Option(help="The organisation's id; by default all of them.")] = None,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be corrected.")] = False,
) -> None:
    """Correct the database after the restore of a backup, by reading every audience. Changes nothing at Mailchimp."""
    from mailchimp_pipeline.cli.sync import reconcile_and_print

    if not reconcile_and_print(out, organisation, dry_run=dry_run):
        raise typer.Exit(1)


@keys.command()
@_print_errors
def rotate() -> None:
    """Re-encrypt every stored secret with the first of MAILCHIMP_PIPELINE_ENCRYPTION_KEYS."""
    from mailchimp_pipeline.database.key_rotation import rotate as rotate_keys
    from mailchimp_pipeline.services.resources import open_resources

    with open_resources() as resources:
        count = rotate_keys(resources.database, resources.keyring, by="command line", at=utc_now())
    out.print(f"{count} secrets were re-encrypted; keys after the first are no longer needed.")


@erasures.command("list")
@_print_errors
def list_erasures() -> None:
    """List the pending erasures, and what each is waiting for."""
    from mailchimp_pipeline.cli.terminal_tables import erasure_table
    from mailchimp_pipeline.database.erasure_store import DatabaseErasures
    from mailchimp_pipeline.services.resources import open_resources

    with open_resources() as resources:
        out.print(erasure_table(DatabaseErasures(resources.database, resources.keyring, utc_now).pending()))


@erasures.command("confirm")
@_print_errors
def confirm_erasure(erasure_id: Annotated[str, typer.Argument(help="The erasure's id, as `list` shows it.")]) -> None:
    """Complete an erasure after you deleted the contact at Mailchimp by hand."""
    from mailchimp_pipeline.database.erasure_store import DatabaseErasures
    from mailchimp_pipeline.services.resources import open_resources

    with open_resources() as resources:
        DatabaseErasures(resources.database, resources.keyring, utc_now).confirm(erasure_id, by="command line")
    out.print(f"Erasure {erasure_id} is completed.")


@app.command()
@_print_errors
def doctor(
    *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")] = False
) -> None:
    """Check everything the pipeline needs and say what to do; exit code 1 if anything is missing."""
    from mailchimp_pipeline.cli.doctor import examine

    if not examine(out, as_json=as_json):
        raise typer.Exit(1)
