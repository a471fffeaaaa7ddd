"""Local state is never readable by other users, with any umask and with concurrent starts."""

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest

from mailchimp_pipeline.embedded.local_state import (
    keep_sandbox,
    open_private,
    private_directory,
    state_directory,
    write_private,
)
from mailchimp_pipeline.embedded.processes import Children, machine_environment
from mailchimp_pipeline.local.stack import installed, sample_data
from mailchimp_pipeline_tests.conftest import server_directory
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, eventually

_STARTS = """
import sys
from pathlib import Path
from mailchimp_pipeline.embedded.postgres import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])):
    pass
"""


@pytest.fixture
def directory() -> Generator[Path]:
    """Return a directory that only this user can read."""
    with server_directory("private-") as made:
        yield made


@pytest.fixture
def no_umask() -> Generator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(directory: Path) -> dict[str, str]:
    """Return the paths that other users can read or write, with their modes.

    As root, PostgreSQL's user passes through directories as a member of their group.
    """
    found: dict[str, str] = {}
    below = [Path(at, name) for at, directories, files in os.walk(directory) for name in (*directories, *files)]
    for path in (directory, *below):
        with suppress(FileNotFoundError):
            status = path.lstat()
            allowed = stat.S_IXGRP if stat.S_ISDIR(status.st_mode) and status.st_gid == os.getegid() else 0
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & 0o077 & ~allowed:
                found[str(path)] = stat.filemode(status.st_mode)
    return found


def run_at_once(directory: Path, *commands: list[str], **more: str) -> None:
    """Run the commands at once without a umask, and check permissions continuously."""
    environment = machine_environment() | {"MAILCHIMP_PIPELINE_HOME": str(directory / "home")} | more
    running = [
        subprocess.Popen(
            command, env=environment, cwd=directory, umask=0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for command in commands
    ]
    while any(process.poll() is None for process in running):
        assert open_to_others(directory) == {}
        time.sleep(0.05)
    printed = [process.communicate()[0].decode() for process in running]
    assert [text for process, text in zip(running, printed, strict=True) if process.returncode] == []
    assert open_to_others(directory) == {}


def test_commands_that_start_at_once_leave_everything_to_its_owner(directory: Path) -> None:
    migrate = [installed("mailchimp-pipeline"), "migrate"]
    token = [installed("mailchimp-pipeline"), "token", "--organisation", "acme", "--actor", "alice"]
    run_at_once(directory, migrate)
    run_at_once(directory, migrate, token, [sys.executable, "-c", _STARTS, str(directory / "home")])
    assert stat.S_IMODE((directory / "home" / "postgresql").stat().st_mode) == 0o700


def test_processes_that_start_at_once_in_an_empty_directory_leave_everything_to_its_owner(directory: Path) -> None:
    starts = [sys.executable, "-c", _STARTS, str(directory / "home")]
    run_at_once(directory, starts, starts, starts)


def test_a_path_too_long_for_a_socket_is_as_private(directory: Path) -> None:
    temporary = directory / "temporary"
    temporary.mkdir(mode=0o700)
    deep = directory / ("deep" * 30)
    run_at_once(directory, [sys.executable, "-c", _STARTS, str(deep)], TMPDIR=str(temporary))
    assert list(temporary.iterdir()) == []


def write_a_log(home: Path) -> None:
    with Children(state_directory(home, "logs")) as children:
        children.start("child", ["sh", "-c", "echo done; sleep 600"], machine_environment())
        eventually((home / "logs" / "child.log").read_text, START_TIMEOUT_SECONDS)
        assert open_to_others(children.directory) == {}


@pytest.mark.usefixtures("no_umask")
def test_what_is_written_is_for_its_owner_alone(directory: Path) -> None:
    home = private_directory(directory / "one" / "home")
    write_private(home / "written", "text")
    open_private(home / "opened", "a").close()
    keep_sandbox(home, "http://127.0.0.1:8900/3.0", None)
    write_a_log(home)
    assert open_to_others(directory) == {}


@pytest.mark.usefixtures("no_umask")
def test_what_was_open_is_closed(directory: Path) -> None:
    home = directory / "home"
    home.mkdir()
    for name in ("logs", "sample"):
        (home / name).mkdir(mode=0o777)
    (home / "token-secret").write_text(json.dumps("s" * 40))
    token = [installed("mailchimp-pipeline"), "token", "--organisation", "acme", "--actor", "alice"]
    subprocess.run(token, env=machine_environment() | {"MAILCHIMP_PIPELINE_HOME": str(home)}, check=True)
    write_a_log(home)
    sample_data(home)
    closed = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o077 for path in home.iterdir()}
    assert set(closed.values()) == {0}
    assert {"logs", "sample", "token-secret", "encryption-keys"} <= closed.keys()
    # The mode of an existing directory stays, but nothing in it becomes readable.
    assert stat.S_IMODE(home.stat().st_mode) == 0o777
