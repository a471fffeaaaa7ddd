"""`mailchimp-pipeline dev` as a whole: start, and stop with Ctrl-C."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from mailchimp_pipeline.database.connection_store import connected_organisations
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.embedded.processes import machine_environment
from mailchimp_pipeline.local.stack import free_port, installed
from mailchimp_pipeline_tests.conftest import server_directory
from mailchimp_pipeline_tests.process_table import is_running
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, TIMEOUT_SECONDS, eventually


@contextmanager
def developing(home: Path, environment: dict[str, str]) -> Generator[psutil.Popen]:
    """Run the command with its output in `home/printed`."""
    with (home / "printed").open("wb") as printed:
        process = psutil.Popen(
            [installed("mailchimp-pipeline"), "dev"], env=environment, cwd=home, stdout=printed, stderr=printed
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(2 * TIMEOUT_SECONDS)


def printed_before_it_stays(home: Path, process: psutil.Popen) -> str:
    def text_if_it_stays() -> str:
        text = (home / "printed").read_text()
        assert process.poll() is None, text
        return text if "Ctrl-C ends all of it." in text else ""

    return eventually(text_if_it_stays, START_TIMEOUT_SECONDS)


def kept_settings(home: Path) -> dict[str, str]:
    """Return the settings of a process that only knows the location of local state."""
    code = """
import json
from mailchimp_pipeline.services.resources import complete_settings
with complete_settings() as settings:
    print(json.dumps(settings.environment()))
"""
    environment = {"MAILCHIMP_PIPELINE_HOME": str(home)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, cwd=home, check=True, capture_output=True)
    return json.loads(run.stdout)


def processes_in(home: Path) -> list[psutil.Process]:
    """Return the PostgreSQL servers in the directory, and their supervisors."""
    with_command = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"]]
    return [process for process in with_command if str(home / "postgresql") in " ".join(process.info["cmdline"])]


@pytest.mark.slow
def test_everything_comes_up_and_ends_with_its_command_however_that_ends() -> None:
    ports = {name: free_port() for name in ("UI", "API", "SANDBOX")}
    with server_directory("dev-") as home:
        environment = machine_environment() | {"MAILCHIMP_PIPELINE_HOME": str(home)}
        environment |= {f"MAILCHIMP_PIPELINE_{name}_PORT": str(port) for name, port in ports.items()}
        for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 0)):
            with developing(home, environment) as process:
                text = printed_before_it_stays(home, process)
                children = [*process.children(recursive=True), *processes_in(home)]
                assert [name for name, port in ports.items() if f"http://127.0.0.1:{port}" not in text] == []
                page = f"http://127.0.0.1:{ports['UI']}/server_info"
                urllib.request.urlopen(page, timeout=TIMEOUT_SECONDS).close()
                process.send_signal(number)
                assert process.wait(2 * TIMEOUT_SECONDS) == code
            assert len(children) >= 8
            eventually(lambda those=children: not any(map(is_running, those)))
        found = {name: kept_settings(home)[name] for name in ("MAILCHIMP_API_ROOT", "MAILCHIMP_PIPELINE_SOURCE")}
    assert found == {
        "MAILCHIMP_API_ROOT": f"http://127.0.0.1:{ports['SANDBOX']}/3.0",
        "MAILCHIMP_PIPELINE_SOURCE": str(home / "sample"),
    }


@pytest.mark.parametrize("command", [["dev"], ["sandbox", "--sample"]])
def test_a_database_of_ones_own_is_shown_no_sandbox_and_no_sample(
    database_url: str, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / ".env").write_text(f"MAILCHIMP_PIPELINE_DATABASE_URL={database_url}\n")
    refused = subprocess.run(
        [installed("mailchimp-pipeline"), *command],
        env=machine_environment() | {"MAILCHIMP_PIPELINE_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("NotForTheSandbox: MAILCHIMP_PIPELINE_DATABASE_URL is set")
    assert "MAILCHIMP_API_ROOT" in refused.stderr
    assert not (tmp_path / "home").exists()
    with Database(database_url) as database, database.everyone() as session:
        assert connected_organisations(session) == ()
