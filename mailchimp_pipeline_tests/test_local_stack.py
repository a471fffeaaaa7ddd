"""The parts on one machine: what is missing is brought up, what is there is left alone."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.local_stack import (
    DidNotStart,
    PortTaken,
    expect_free,
    free_port,
    installed,
    local_stack,
    wait_for_port,
    workspace_arguments,
)
from mailchimp_pipeline.processes import Children
from mailchimp_pipeline.sandbox import SandboxControl
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.runs.company import KEYS


def settings(home: Path, database_url: str, more: Mapping[str, str]) -> Settings:
    return Settings.from_environment(
        {
            "MAILCHIMP_PIPELINE_HOME": str(home),
            "MAILCHIMP_PIPELINE_DATABASE_URL": database_url,
            "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS,
            **more,
        }
    )


def test_sandbox_and_sample_come_where_nothing_else_is_set(tmp_path: Path, database_url: str) -> None:
    port = free_port()
    with local_stack(settings(tmp_path, database_url, {"MAILCHIMP_PIPELINE_SANDBOX_PORT": str(port)})) as stack:
        assert stack.sandbox_url == f"http://127.0.0.1:{port}"
        assert stack.settings.api_root == f"{stack.sandbox_url}/3.0"
        assert (tmp_path / "sample" / "employees.csv").exists()
        assert (stack.dagster_home / "dagster.yaml").exists()
        with SandboxControl(stack.sandbox_url or "") as sandbox:
            assert sandbox.counts().total.calls == 0
    expect_free(port, what="The sandbox", setting="sandbox_port")


def test_somebodys_own_data_and_mailchimp_are_left_alone(tmp_path: Path, database_url: str) -> None:
    own = {"MAILCHIMP_PIPELINE_SOURCE": "/somewhere", "MAILCHIMP_API_ROOT": "https://mailchimp.example.com/3.0"}
    with local_stack(settings(tmp_path, database_url, own)) as stack:
        assert (stack.sandbox_url, stack.settings.api_root) == (None, own["MAILCHIMP_API_ROOT"])
    assert not (tmp_path / "sample").exists()


def test_commands_see_the_settings_of_the_stack_and_no_others(tmp_path: Path, database_url: str) -> None:
    own = {"MAILCHIMP_PIPELINE_SOURCE": "/somewhere", "MAILCHIMP_API_ROOT": "https://mailchimp.example.com/3.0"}
    with local_stack(settings(tmp_path, database_url, own)) as stack:
        assert stack.environment["MAILCHIMP_PIPELINE_SOURCE"] == "/somewhere"
        assert stack.environment["MAILCHIMP_PIPELINE_JWKS_URL"] == ""
        assert Settings.from_environment(stack.environment) == stack.settings
        stack.run("dagster", "--version")


def test_a_port_that_is_taken_is_told_with_the_setting_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortTaken, match=f"{port}.*MAILCHIMP_PIPELINE_UI_PORT"):
            expect_free(port, what="Dagster's UI", setting="ui_port")


def test_a_free_port_is_given_out_once_and_may_be_listened_on() -> None:
    ports = [free_port() for _ in range(300)]  # of so many by chance two would be the same, mostly
    assert len(set(ports)) == 300
    expect_free(ports[0], what="The API", setting="api_port")


def test_what_does_not_listen_in_time_is_told(tmp_path: Path) -> None:
    with Children(tmp_path) as children, pytest.raises(DidNotStart, match=r"The API did not listen"):
        wait_for_port(free_port(), children, what="The API", seconds=0.1)


def test_commands_are_those_beside_this_python() -> None:
    assert Path(installed("dagster")).parent == Path(sys.executable).parent
    with pytest.raises(LastingError, match=r"no-such-command is not installed.*pip install"):
        installed("no-such-command")


def test_the_workspace_is_the_one_of_the_project() -> None:
    _, workspace = workspace_arguments()
    assert "mailchimp_pipeline.definitions" in Path(workspace).read_text()
