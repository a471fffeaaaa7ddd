"""The pipeline on one machine, for `demo` and `dev`: sandbox and sample data where nothing else is set, and Dagster.

What does not belong here: what is done with it (`demo`, `dev`), starting and ending processes (`processes`).
"""

import random
import shutil
import socket
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mailchimp_pipeline.assembly import complete_settings
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.dashboard import Dashboard
from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.local import private_directory
from mailchimp_pipeline.processes import Children, run
from mailchimp_pipeline.sample import write_sample
from mailchimp_pipeline.settings import PROJECT_ROOT, VARIABLES, Settings

_START_SECONDS = 240
"""Dagster's UI takes half a minute where others work too; a part that ends before is told at once."""

_ACTOR = "demo"
_LOOPBACK = "127.0.0.1"

_OUR_PORTS = range(20_000, 32_000)
"""Below those that systems hand out by themselves, from 32768 on at the lowest."""


class DidNotStart(LastingError):
    """A part did not come up in time."""


class PortTaken(LastingError):
    """Something listens already where a part is to listen."""


@dataclass(frozen=True, slots=True)
class LocalStack:
    """What runs: `settings` lack nothing, `sandbox_url` is None where Mailchimp is somebody else's."""

    settings: Settings
    children: Children
    dagster_home: Path
    sandbox_url: str | None

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which Dagster's commands work on this stack, whatever ours and the file `.env` say."""
        nothing_else = dict.fromkeys(VARIABLES.values(), "")
        return nothing_else | self.settings.environment()

    def start(self, name: str, command: str, *arguments: str) -> None:
        """Start one of the installed commands as a child."""
        self.children.start(name, [installed(command), *arguments], self.environment)

    def start_api(self) -> None:
        """Start the API, and wait until it listens."""
        expect_free(self.settings.api_port, what="The API", setting="api_port")
        self.start("api", "mailchimp-pipeline", "api")
        wait_for_port(self.settings.api_port, self.children, what="The API")

    def dashboard(self, organisation_id: str) -> Dashboard:
        """Return the API as an administrator of the organisation calls it."""
        from api.auth import make_token  # noqa: PLC0415 - the API is an extra
        from api.trpc import Role  # noqa: PLC0415 - as above

        secret = self.settings.token_secret
        if secret is None:
            raise LastingError("Tokens are verified by MAILCHIMP_PIPELINE_JWKS_URL; make one where its keys are kept.")
        token = make_token(
            secret.get_secret_value(),
            organisation_id=organisation_id,
            actor=_ACTOR,
            role=Role.ADMIN,
            now=utc_now(),
            issuer=self.settings.token_issuer,
        )
        return Dashboard(f"http://{_LOOPBACK}:{self.settings.api_port}", token)

    def run(self, command: str, *arguments: str) -> None:
        """Run one of the installed commands to its end. Raises `processes.CommandFailed`."""
        run([installed(command), *arguments], self.environment)


@contextmanager
def local_stack(settings: Settings) -> Generator[LocalStack]:
    """Bring up what the settings lack, and end it all with the block.

    The sandbox runs only where MAILCHIMP_API_ROOT is not set, sample data is made only where
    MAILCHIMP_PIPELINE_SOURCE is not set: with both it is the pipeline on somebody's own data and Mailchimp.
    """
    private_directory(settings.home)
    with complete_settings(settings) as complete, Children(settings.home / "logs") as children:
        extra: dict[str, str] = {}
        if settings.source is None:
            extra["MAILCHIMP_PIPELINE_SOURCE"] = str(sample_data(settings.home))
        sandbox_url = None
        if "api_root" not in settings.model_fields_set:
            sandbox_url = _start_sandbox(children, settings.sandbox_port)
            extra["MAILCHIMP_API_ROOT"] = f"{sandbox_url}/3.0"
        dagster_home = _dagster_home(settings.home / "dagster")
        extra["DAGSTER_HOME"] = str(dagster_home)
        ready = Settings.from_environment(complete.environment() | extra)
        yield LocalStack(ready, children, dagster_home, sandbox_url)


def free_port() -> int:
    """Return a port of this machine that nobody has, and that nobody else is given for a minute.

    It is none of those that the system hands out by itself, and a connection to it is left behind: while one was ended
    lately, a port can be bound with `SO_REUSEADDR`, as servers do, and not without, as is done here.
    """
    for port in random.sample(_OUR_PORTS, len(_OUR_PORTS)):
        with socket.socket() as listener, suppress(OSError):
            listener.bind((_LOOPBACK, port))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.listen(1)
            with socket.create_connection((_LOOPBACK, port)), listener.accept()[0]:
                return port
    raise PortTaken(f"All ports from {_OUR_PORTS[0]} to {_OUR_PORTS[-1]} are taken. Stop what has them.")


def installed(command: str) -> str:
    """Return the path of a command that was installed beside this Python."""
    path = Path(sys.executable).parent / command
    if not path.exists():
        raise LastingError(f"The command {command} is not installed. Install with `pip install -e '.[local]'`.")
    return str(path)


def expect_free(port: int, *, what: str, setting: str) -> None:
    """Raise `PortTaken` where somebody listens on the port: what we start there would end, and theirs would answer."""
    try:
        socket.create_server((_LOOPBACK, port)).close()
    except OSError as error:
        raise PortTaken(
            f"{what} is to listen on port {port}, where something else does already. Stop that, or set "
            f"{VARIABLES[setting]} to another port."
        ) from error


def wait_for_port(port: int, children: Children, *, what: str, seconds: float = _START_SECONDS) -> None:
    """Wait until somebody listens on the port. Raises `DidNotStart`, and `ChildEnded` where a child gave up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        children.check()
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((_LOOPBACK, port)) == 0:
                return
        time.sleep(0.05)
    raise DidNotStart(f"{what} did not listen on port {port} within {seconds:g} s; see its log under `logs`.")


def workspace_arguments() -> Sequence[str]:
    """Return the arguments by which Dagster's commands find the code location."""
    return ("-w", str(PROJECT_ROOT / "workspace.yaml"))


def _start_sandbox(children: Children, port: int) -> str:
    expect_free(port, what="The Mailchimp sandbox", setting="sandbox_port")
    children.start("sandbox", [sys.executable, "-m", "mailchimp_pipeline.sandbox", "--port", str(port)], {})
    wait_for_port(port, children, what="The Mailchimp sandbox")
    return f"http://{_LOOPBACK}:{port}"


def sample_data(home: Path) -> Path:
    """Return the directory of the sample data, made where it is not there."""
    directory = home / "sample"
    if not (directory / "employees.csv").exists():
        write_sample(private_directory(directory))
    return directory


def _dagster_home(home: Path) -> Path:
    """Return a DAGSTER_HOME with the project's `dagster.yaml`, as it is now."""
    private_directory(home)
    shutil.copyfile(PROJECT_ROOT / "dagster.yaml", home / "dagster.yaml")
    return home
