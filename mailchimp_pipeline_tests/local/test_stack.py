"""The services of one machine: missing ones are started, configured ones are left alone."""

import socket
import sys
from collections.abc import Generator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
from mailchimp_pipeline.embedded.processes import Children
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.local import sample_organisations
from mailchimp_pipeline.local.stack import (
    DidNotStart,
    LocalStack,
    NotForTheSandbox,
    OwnSettingsMissing,
    PortTaken,
    expect_free,
    free_port,
    installed,
    own_stack,
    sandbox_stack,
    wait_for_port,
    workspace_arguments,
)
from mailchimp_pipeline.settings import VARIABLES, Settings
from mailchimp_pipeline_tests.conftest import server_directory
from mailchimp_pipeline_tests.database.builders import a_connection
from mailchimp_pipeline_tests.runs.company import KEYS
from mailchimp_pipeline_tests.waiting import eventually
from sandbox import SandboxControl

OWN = {
    "MAILCHIMP_PIPELINE_DATABASE_URL": "postgresql://db.example.com/pipeline",
    "DAGSTER_POSTGRES_URL": "postgresql://db.example.com/dagster",
    "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS,
    "MAILCHIMP_PIPELINE_TOKEN_SECRET": "s" * 40,
    "MAILCHIMP_PIPELINE_SOURCE": "/somewhere",
    "MAILCHIMP_API_ROOT": "https://mailchimp.example.com/3.0",
}


@pytest.fixture
def home() -> Generator[Path]:
    """Return a path for a new directory that PostgreSQL's user can reach."""
    with server_directory("stack-") as made:
        yield made / "home"


def at(home: Path, *names: str, **more: str) -> Settings:
    """Return settings with these entries of `OWN`."""
    chosen = {variable: OWN[variable] for variable in OWN if variable in names}
    return Settings.from_environment({"MAILCHIMP_PIPELINE_HOME": str(home), **chosen, **more})


def names_in(text: str) -> set[str]:
    return {variable for variable in VARIABLES.values() if f"{variable} " in f"{text} ".replace(",", " ")}


def expect_refused(stack: AbstractContextManager[LocalStack], error: type[PermanentError]) -> str:
    with pytest.raises(error) as refused, stack:
        pytest.fail("it was started")
    return str(refused.value)


def test_sandbox_and_sample_come_where_nothing_else_is_set(home: Path) -> None:
    port = free_port()
    with sandbox_stack(at(home, MAILCHIMP_PIPELINE_SANDBOX_PORT=str(port))) as stack:
        assert stack.sandbox_url == f"http://127.0.0.1:{port}"
        assert stack.settings.api_root == f"{stack.sandbox_url}/3.0"
        assert stack.environment["MAILCHIMP_PIPELINE_DATABASE_URL"] == stack.server.database_url
        assert stack.environment["DAGSTER_POSTGRES_URL"] == stack.server.dagster_url
        assert (home / "sample" / "employees.csv").exists()
        assert (stack.dagster_home / "dagster.yaml").exists()
        with SandboxControl(stack.sandbox_url) as sandbox:
            assert sandbox.counts().total.calls == 0
    expect_free(port, what="The sandbox", setting="sandbox_port")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MAILCHIMP_PIPELINE_DATABASE_URL", "postgresql://db.example.com/pipeline"),
        ("DAGSTER_POSTGRES_URL", "postgresql://db.example.com/dagster"),
        ("MAILCHIMP_PIPELINE_JWKS_URL", "https://login.example.com/jwks.json"),
        ("MAILCHIMP_PROXY", "http://proxy.example.com:3128"),
        ("MAILCHIMP_PIPELINE_PUBLIC_URL", "https://pipeline.example.com"),
    ],
)
def test_nothing_of_a_real_pipeline_meets_the_sandbox(home: Path, variable: str, value: str) -> None:
    said = expect_refused(sandbox_stack(at(home, **{variable: value})), NotForTheSandbox)
    assert names_in(said) >= {variable, "MAILCHIMP_API_ROOT", "MAILCHIMP_PIPELINE_SOURCE"}
    assert f"`{variable}= make dev`" in said
    assert "example.com" not in said
    assert not home.exists()


def test_with_a_database_of_ones_own_everything_that_is_missing_is_said_at_once(home: Path) -> None:
    said = expect_refused(sandbox_stack(at(home, "MAILCHIMP_PIPELINE_DATABASE_URL")), NotForTheSandbox)
    assert names_in(said) == set(OWN)


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ((), {"MAILCHIMP_PIPELINE_SOURCE"}),
        (("MAILCHIMP_PIPELINE_DATABASE_URL",), set(OWN) - {"MAILCHIMP_PIPELINE_DATABASE_URL", "MAILCHIMP_API_ROOT"}),
        (
            ("MAILCHIMP_PIPELINE_SOURCE", "DAGSTER_POSTGRES_URL", "MAILCHIMP_PIPELINE_TOKEN_SECRET"),
            {"MAILCHIMP_PIPELINE_DATABASE_URL", "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS"},
        ),
    ],
)
def test_a_mailchimp_of_ones_own_gets_no_sample_data(home: Path, given: tuple[str, ...], missing: set[str]) -> None:
    said = expect_refused(own_stack(at(home, "MAILCHIMP_API_ROOT", *given)), OwnSettingsMissing)
    assert names_in(said) - {"MAILCHIMP_API_ROOT"} == missing
    assert not home.exists()


def test_somebodys_own_data_and_mailchimp_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILCHIMP_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("DAGSTER_PROJECT_ENV_FILE_PATHS", "{}")
    monkeypatch.setenv("HR_PASSWORD", "a variable of the source's driver")
    with own_stack(at(tmp_path, *OWN)) as stack:
        assert Settings.from_environment(stack.environment) == stack.settings
        assert stack.environment["MAILCHIMP_API_ROOT"] == OWN["MAILCHIMP_API_ROOT"]
        assert stack.environment["MAILCHIMP_PIPELINE_SOURCE"] == "/somewhere"
        assert stack.environment["MAILCHIMP_PROXY"] == ""
        assert "DAGSTER_PROJECT_ENV_FILE_PATHS" not in stack.environment
        assert "HR_PASSWORD" in stack.environment
        stack.run("dagster", "--version")
    assert not (tmp_path / "sample").exists()


@pytest.mark.parametrize(
    ("source", "seen"),
    [
        ("hr", "{}/hr"),
        ("sqlite:///hr.db", "sqlite:///{}/hr.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:////srv/hr.db", "sqlite:////srv/hr.db"),
        ("postgresql://hr.example.com/hr", "postgresql://hr.example.com/hr"),
    ],
)
def test_a_relative_source_is_the_same_for_children_who_work_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, seen: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with own_stack(
        at(tmp_path, *(set(OWN) - {"MAILCHIMP_PIPELINE_SOURCE"}), MAILCHIMP_PIPELINE_SOURCE=source)
    ) as stack:
        assert stack.environment["MAILCHIMP_PIPELINE_SOURCE"] == seen.format(tmp_path)
        assert stack.children.directory != tmp_path


def test_children_read_no_env_file_of_where_the_stack_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("MAILCHIMP_PIPELINE_PUBLIC_URL=https://pipeline.example.com\n")
    with own_stack(at(tmp_path, *OWN)) as stack:
        assert list(stack.children.directory.glob(".*")) == []
        code = "from mailchimp_pipeline.settings import Settings; print(Settings.from_environment().public_url)"
        stack.children.start("reader", [sys.executable, "-c", code], stack.environment)
        reader = tmp_path / "logs" / "reader.log"
        eventually(reader.read_text)
        assert reader.read_text() == "None\n"


def test_an_organisation_with_an_account_of_its_own_is_not_made_a_sample(home: Path) -> None:
    with EmbeddedServer(home) as server:
        migrate(server.database_url)
        with Database(server.database_url) as database:
            connection = a_connection(database)
            with pytest.raises(sample_organisations.NotASampleOrganisation, match="Organisation acme is connected"):
                sample_organisations.forget(server)
            with database.organisation(connection.organisation_id) as session:
                assert session.scalar(text("select api_key_hint from mailchimp_connections")) == connection.api_key_hint


def test_a_port_that_is_taken_is_told_with_the_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, who = listener.getsockname()[1], rf"process {psutil.Process().pid} \(\w+.*`kill \d+`"
        with pytest.raises(PortTaken, match=rf"{port}, where {who}.*MAILCHIMP_PIPELINE_UI_PORT"):
            expect_free(port, what="Dagster's UI", setting="ui_port")


def test_a_free_port_is_given_out_once_and_may_be_listened_on() -> None:
    ports = [free_port() for _ in range(300)]  # with so many ports, two would probably be equal by chance
    assert len(set(ports)) == 300
    expect_free(ports[0], what="The API", setting="api_port")


def test_what_does_not_listen_in_time_is_told(tmp_path: Path) -> None:
    with Children(tmp_path) as children, pytest.raises(DidNotStart, match=r"The API did not listen"):
        wait_for_port(free_port(), children, what="The API", seconds=0.1)


def test_commands_are_those_beside_this_python() -> None:
    assert Path(installed("dagster")).parent == Path(sys.executable).parent
    with pytest.raises(PermanentError, match=r"no-such-command is not installed.*pip install"):
        installed("no-such-command")


def test_the_workspace_is_the_one_of_the_project() -> None:
    _, workspace = workspace_arguments()
    assert "mailchimp_pipeline.definitions" in Path(workspace).read_text()
