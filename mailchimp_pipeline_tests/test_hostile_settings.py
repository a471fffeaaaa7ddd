"""The demo and the tests ignore `.env`, the environment and DAGSTER_HOME."""

import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from mailchimp_pipeline.embedded.processes import machine_environment
from mailchimp_pipeline.local.stack import installed
from mailchimp_pipeline.settings import PROJECT_ROOT, VARIABLES, Settings
from mailchimp_pipeline_tests.process_table import is_running
from mailchimp_pipeline_tests.production_pipeline import ProductionPipeline, production_pipeline
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, TIMEOUT_SECONDS, eventually

_SET_BY_CHILDREN = {"PGDATA", "PGSYSCONFDIR", "PWD", "SF_PARTNER", "LC_ALL", "LC_CTYPE"}
"""Variables that programs set for their children: PostgreSQL, shells, Dagster and Python."""

_LOOK = """
import os
from mailchimp_pipeline.settings import Settings
read = [name for name in os.environ if name.startswith(("MAILCHIMP_", "DAGSTER_", "PG"))]
print(Settings.from_environment() == Settings(), read)
"""


@pytest.fixture(scope="module")
def real() -> Generator[ProductionPipeline]:
    with production_pipeline() as made:
        yield made


@pytest.fixture
def hostile(real: ProductionPipeline, tmp_path: Path) -> dict[str, str]:
    """Return an environment with every hostile variable. The directory's `.env` has the same variables."""
    real.write_env_file(tmp_path)
    return machine_environment() | real.variables | real.library_variables


def test_the_hostile_environment_covers_every_setting(real: ProductionPipeline) -> None:
    assert set(real.variables) == set(VARIABLES.values())


def test_no_test_sees_the_developers_settings() -> None:
    assert Settings.from_environment() == Settings()
    assert not (Path.cwd() / ".env").exists()
    child = subprocess.run([sys.executable, "-c", _LOOK], check=True, capture_output=True, text=True)
    assert child.stdout.strip() == "True []"


def test_no_test_sees_a_setting_whatever_is_set(hostile: dict[str, str], tmp_path: Path) -> None:
    one = f"{__file__}::{test_no_test_sees_the_developers_settings.__name__}"
    arguments = ["-q", "-p", "no:cacheprovider", "-c", str(PROJECT_ROOT / "pyproject.toml"), one]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        env=hostile,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.slow
def test_the_demo_leaves_a_real_pipeline_alone(
    real: ProductionPipeline, hostile: dict[str, str], tmp_path: Path
) -> None:
    before = real.snapshot()
    known = set(machine_environment()) | set(VARIABLES.values())
    with (tmp_path / "printed").open("w") as printed:
        demo = psutil.Popen(
            [installed("mailchimp-pipeline"), "demo"], env=hostile, cwd=tmp_path, stdout=printed, stderr=printed
        )
    own_command, children = demo.cmdline(), dict[str, dict[str, str]]()
    while demo.poll() is None:
        for child in demo.children(recursive=True):
            with suppress(psutil.Error):
                # Until a forked child executes its command, it shows the command and the variables of the demo.
                if (command := child.cmdline()) != own_command:
                    children[" ".join(command)] = child.environ()
                assert not (Path(child.cwd()) / ".env").exists()
        time.sleep(0.2)
    text = (tmp_path / "printed").read_text()
    assert demo.returncode == 0, text
    assert "Done in" in text
    child_processes = "\n".join(children)
    assert [
        part for part in ("dagster-daemon", "grpc", "mailchimp-pipeline api", "sandbox") if part not in child_processes
    ] == []
    assert {name for seen in children.values() for name in seen} <= known | _SET_BY_CHILDREN
    values = {*real.variables.values(), *real.library_variables.values()}
    assert [values & set(seen.values()) for seen in children.values() if values & set(seen.values())] == []
    assert real.snapshot() == before


def test_a_demo_whose_terminal_is_closed_ends_and_leaves_nothing(hostile: dict[str, str], tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [installed("mailchimp-pipeline"), "demo"]
    with subprocess.Popen(
        command, env=hostile | {"TMPDIR": str(temporary)}, cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as demo:
        assert demo.stdout is not None
        assert "Starting PostgreSQL" in demo.stdout.readline()
        eventually(lambda: psutil.Process(demo.pid).children(recursive=True), START_TIMEOUT_SECONDS)
        children = psutil.Process(demo.pid).children(recursive=True)
        demo.send_signal(signal.SIGHUP)
        assert demo.wait(TIMEOUT_SECONDS) == 130
    eventually(lambda: not any(map(is_running, children)))
    assert list(temporary.iterdir()) == []
