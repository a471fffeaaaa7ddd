"""The pipeline's processes on one machine, for `demo` and `dev`, and a client of their API.

The processes run with the sandbox, or with the user's own Mailchimp.
"""

import json
import random
import shutil
import socket
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import psutil
import requests
from sqlalchemy import make_url

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.embedded.local_state import state_directory
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline.embedded.processes import Children, foreign_environment, run
from mailchimp_pipeline.errors import PermanentError, TransientError
from mailchimp_pipeline.local.sample_data import write_sample
from mailchimp_pipeline.services.resources import complete_settings, embedded_settings
from mailchimp_pipeline.settings import PROJECT_ROOT, VARIABLES, Settings

_TIMEOUTS = (5, 60)
"""Seconds to connect, and to wait for the answer."""


class ApiAway(TransientError):
    """The API does not answer."""


class ApiRefusal(PermanentError):
    """The API refused a call. The text is the API's."""


class Dashboard:
    """A client of the API, as the platform's dashboard is one. It calls procedures with one bearer token.

    Calls raise `ApiAway` if the API does not answer, and `ApiRefusal` if it answers with an error.
    """

    def __init__(self, url: str, token: str) -> None:
        """Take the root URL of the API, such as http://127.0.0.1:8000."""
        self._prefix = f"{url}/api/trpc"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._session.close()

    def query(self, procedure: str, **given: object) -> Any:  # noqa: ANN401 - JSON
        """Call a query with the input `given`. Return its result."""
        params = {"input": json.dumps(given)} if given else {}
        return self._called("GET", procedure, params=params)

    def mutate(self, procedure: str, **given: object) -> Any:  # noqa: ANN401 - JSON
        """Call a mutation with the input `given`. Return its result."""
        return self._called("POST", procedure, json=given)

    def _called(self, method: str, procedure: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = self._session.request(method, f"{self._prefix}/{procedure}", timeout=_TIMEOUTS, **arguments)
        except requests.RequestException as error:
            raise ApiAway(f"The API does not answer: {type(error).__name__}. Start it and try again.") from None
        body = answer.json()
        if "error" in body:
            raise ApiRefusal(f"{procedure} was refused: {body['error']['message']}")
        return body["result"].get("data")


_START_SECONDS = 240
"""The maximum wait for a process to listen. Dagster's UI takes half a minute on a busy machine."""

_ACTOR = "demo"
_LOOPBACK = "127.0.0.1"

_OUR_PORTS = range(20_000, 32_000)
"""The ports that `free_port` tries. Operating systems assign others, which start at 32768 or higher."""

_REAL = ("database_url", "dagster_postgres_url", "jwks_url", "mailchimp_proxy", "public_url")
"""Settings that only a pipeline with a real Mailchimp uses."""


class DidNotStart(PermanentError):
    """A process did not listen in time."""


class PortTaken(PermanentError):
    """Another process listens on the port."""


class NotForTheSandbox(PermanentError):
    """Settings of a real pipeline are set without `MAILCHIMP_API_ROOT`. They are never used with the sandbox."""

    def __init__(self, names: Sequence[str], missing: Sequence[str]) -> None:
        one, root = VARIABLES[names[0]], VARIABLES["api_root"]
        super().__init__(
            f"{_listed(names)} {'is' if len(names) == 1 else 'are'} set, and {root} is not. The sandbox and the sample "
            f"data go with the embedded database only. To work on your own database and Mailchimp, set "
            f"{_listed(missing)} too. To work with the sandbox, unset what is set; for one command, set it to nothing: "
            f"`{one}= make dev`."
        )


class OwnSettingsMissing(PermanentError):
    """`MAILCHIMP_API_ROOT` is set, but other settings for one's own Mailchimp are missing."""

    def __init__(self, missing: Sequence[str]) -> None:
        super().__init__(
            f"{VARIABLES['api_root']} is set, so the pipeline works with that Mailchimp, which gets no sample data. "
            f"Set {_listed(missing)} too, or unset {VARIABLES['api_root']} to work with the sandbox."
        )


@dataclass(frozen=True, slots=True)
class LocalStack:
    """The pipeline's running processes on this machine, with the complete settings that they use."""

    settings: Settings
    children: Children
    dagster_home: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of commands for this stack. It overrides all other settings."""
        return foreign_environment() | dict.fromkeys(VARIABLES.values(), "") | self.settings.environment()

    def start(self, name: str, command: str, *arguments: str) -> None:
        """Start an installed command as a child process."""
        self.children.start(name, [installed(command), *arguments], self.environment)

    def start_api(self) -> None:
        """Start the API, and wait until it listens.

        Raises `PortTaken` if another process listens on its port, and `DidNotStart` if the API does not listen in time.
        """
        expect_free(self.settings.api_port, what="The API", setting="api_port")
        self.start("api", "mailchimp-pipeline", "api")
        wait_for_port(self.settings.api_port, self.children, what="The API")

    def run(self, command: str, *arguments: str) -> None:
        """Run an installed command to its end. Raises `processes.CommandFailed` if it fails."""
        run([installed(command), *arguments], self.environment, self.children.directory)


@dataclass(frozen=True, slots=True)
class SandboxStack(LocalStack):
    """The pipeline with the sandbox, which always uses the embedded database."""

    server: EmbeddedServer
    sandbox_url: str

    def dashboard(self, organisation_id: str) -> Dashboard:
        """Return a client of the API with the rights of an administrator of the organisation."""
        from api.auth import AUDIENCE  # noqa: PLC0415 - the API is an extra

        return Dashboard(self.api_url, self._token(organisation_id, AUDIENCE, timedelta(hours=12)))

    def sign_in_link(self, organisation_id: str) -> str:
        """Return a link that signs a browser in to the dashboard, once, as an administrator of the organisation."""
        from api.auth import SIGN_IN_AUDIENCE  # noqa: PLC0415 - the API is an extra
        from api.dashboard import sign_in_link  # noqa: PLC0415 - as above

        return sign_in_link(self.api_url, self._token(organisation_id, SIGN_IN_AUDIENCE, timedelta(hours=1)))

    @property
    def api_url(self) -> str:
        """The root URL of the API."""
        return f"http://{_LOOPBACK}:{self.settings.api_port}"

    def _token(self, organisation_id: str, audience: str, lifetime: timedelta) -> str:
        from api.auth import make_token  # noqa: PLC0415 - the API is an extra
        from api.trpc import Role  # noqa: PLC0415 - as above

        secret = self.settings.token_secret
        if secret is None:
            raise PermanentError(f"{VARIABLES['token_secret']} is not set.")
        return make_token(
            secret.get_secret_value(),
            organisation_id=organisation_id,
            actor=_ACTOR,
            role=Role.ADMIN,
            now=utc_now(),
            lifetime=lifetime,
            issuer=self.settings.token_issuer,
            audience=audience,
        )


@contextmanager
def sandbox_stack(settings: Settings) -> Generator[SandboxStack]:
    """Start the embedded database and the sandbox, and stop both at the end. Uses sample data if no source is set.

    Raises `NotForTheSandbox` before anything is started if a setting belongs to a pipeline with a real Mailchimp.
    """
    expect_for_the_sandbox(settings)
    with (
        EmbeddedServer(settings.home) as server,
        Children(state_directory(settings.home, "logs")) as children,
    ):
        sandbox_url = _start_sandbox(children, settings.sandbox_port)
        dagster_home = _dagster_home(settings.home)
        ready = embedded_settings(settings, server).environment() | {
            "MAILCHIMP_PIPELINE_HOME": str(settings.home),
            "MAILCHIMP_PIPELINE_SOURCE": _source(settings) or str(sample_data(settings.home)),
            "MAILCHIMP_API_ROOT": f"{sandbox_url}/3.0",
            "DAGSTER_HOME": str(dagster_home),
        }
        yield SandboxStack(Settings.from_environment(ready), children, dagster_home, server, sandbox_url)


@contextmanager
def own_stack(settings: Settings) -> Generator[LocalStack]:
    """Yield a stack for the user's own data and Mailchimp. The embedded database is started if no database URL is set.

    Raises `OwnSettingsMissing` before anything is started if a setting for that is missing.
    """
    missing = _missing(settings)
    if missing:
        raise OwnSettingsMissing(missing)
    with (
        complete_settings(settings) as complete,
        Children(state_directory(settings.home, "logs")) as children,
    ):
        dagster_home = _dagster_home(settings.home)
        ready = complete.environment() | {
            "MAILCHIMP_PIPELINE_HOME": str(settings.home),
            "MAILCHIMP_PIPELINE_SOURCE": _source(settings),
            "DAGSTER_HOME": str(dagster_home),
        }
        yield LocalStack(Settings.from_environment(ready), children, dagster_home)


def expect_for_the_sandbox(settings: Settings) -> None:
    """Raise `NotForTheSandbox` if a setting belongs to a pipeline with a real Mailchimp."""
    real = [name for name in _REAL if getattr(settings, name)]
    # The sandbox's webhooks call this machine by plain HTTP.
    if settings.public_url and urlsplit(settings.public_url).scheme == "http":
        real.remove("public_url")
    if real:
        raise NotForTheSandbox(real, ["api_root", *_missing(settings)])


def _missing(settings: Settings) -> list[str]:
    """Return the names of settings that are needed for the user's own data and Mailchimp, and are not set."""
    needed = ["source"]
    if settings.database_url or settings.dagster_postgres_url:
        needed += ["database_url", "dagster_postgres_url", "encryption_keys"]
        needed += [] if settings.jwks_url else ["token_secret"]
    return [name for name in needed if not getattr(settings, name)]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(VARIABLES[name] for name in names)


def _source(settings: Settings) -> str:
    """Return the setting of the source, with an absolute path if it is a file. Empty if no source is set."""
    if settings.source is None:
        return ""
    source = settings.source.get_secret_value()
    if "://" not in source:
        return str(Path(source).absolute())
    if (
        source.startswith("sqlite")
        and (database := make_url(source).database)
        and not database.startswith((":", "file:"))
    ):
        return make_url(source).set(database=str(Path(database).absolute())).render_as_string(hide_password=False)
    return source


def free_port() -> int:
    """Return a free port that is not given to another process for about a minute. Raises `PortTaken` if there is none.

    The port is outside the range that the system assigns. A connection to it was just closed, so for a while servers
    can bind it (with `SO_REUSEADDR`), but this function cannot.
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
    """Return the path of a command installed next to this Python. Raises `PermanentError` if it is missing."""
    path = Path(sys.executable).parent / command
    if not path.exists():
        raise PermanentError(f"The command {command} is not installed. Install with `pip install -e '.[local]'`.")
    return str(path)


def expect_free(port: int, *, what: str, setting: str) -> None:
    """Raise `PortTaken` if another process listens on the port."""
    try:
        socket.create_server((_LOOPBACK, port)).close()
    except OSError as error:
        raise PortTaken(
            f"{what} is to listen on port {port}, where {_holder(port)}, or set {VARIABLES[setting]} to another port."
        ) from error


def _holder(port: int) -> str:
    """Return a text that says which process listens on the port, as far as this user may see, and how to stop it."""
    with suppress(psutil.Error):
        for found in psutil.net_connections("tcp"):
            if found.laddr and found.laddr.port == port and found.status == psutil.CONN_LISTEN and found.pid:
                name = psutil.Process(found.pid).name()
                return f"process {found.pid} ({name}) listens already. Stop it with `kill {found.pid}`"
    return "something else listens already. Stop it"


def wait_for_port(port: int, children: Children, *, what: str, seconds: float = _START_SECONDS) -> None:
    """Wait until a process listens on the port.

    Raises `DidNotStart` if none does within `seconds`, and `ChildEnded` if a child process ends before.
    """
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
    """Return the command-line arguments that tell Dagster's commands where the pipeline's code is."""
    return ("-w", str(PROJECT_ROOT / "workspace.yaml"))


def _start_sandbox(children: Children, port: int) -> str:
    expect_free(port, what="The Mailchimp sandbox", setting="sandbox_port")
    command = [sys.executable, "-m", "sandbox", "--port", str(port)]
    children.start("sandbox", command, foreign_environment())
    wait_for_port(port, children, what="The Mailchimp sandbox")
    return f"http://{_LOOPBACK}:{port}"


def sample_data(home: Path) -> Path:
    """Return the directory of the sample data. If it has no sample yet, write one."""
    directory = state_directory(home, "sample")
    if not (directory / "employees.csv").exists():
        write_sample(directory)
    return directory


def _dagster_home(home: Path) -> Path:
    """Return a directory to use as DAGSTER_HOME, with a copy of the project's `dagster.yaml`."""
    directory = state_directory(home, "dagster")
    shutil.copyfile(PROJECT_ROOT / "dagster.yaml", directory / "dagster.yaml")
    return directory
