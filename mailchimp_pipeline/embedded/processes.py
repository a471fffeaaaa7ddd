"""Child processes with a restricted environment, which end with the command that started them.

Each child leads its own process group, so that its children (Dagster's code servers and runs) end with it.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from mailchimp_pipeline.embedded.local_state import open_private, private_directory
from mailchimp_pipeline.embedded.supervisor import Order
from mailchimp_pipeline.errors import PermanentError

_LAST_LINES = 15

_KILL_SECONDS = 2.0
"""The seconds after its patience that a supervisor gets to kill its process group."""

_MACHINE = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("LANG", "LC_ALL", "LC_CTYPE", "TERM", "COLUMNS", "LINES"),
    "COVERAGE_PROCESS_CONFIG",  # also measures the coverage of child processes
)
"""The variables that programs need on this machine, without those about databases, accounts or data."""

_READ_BY_US = ("MAILCHIMP_", "DAGSTER_")
"""Prefixes of the variables that the settings or Dagster read."""


class ChildEnded(PermanentError):
    """A child process ended unexpectedly."""


class CommandFailed(PermanentError):
    """A command failed."""


def machine_environment() -> dict[str, str]:
    """Return the environment variables in `_MACHINE`."""
    return {name: os.environ[name] for name in _MACHINE if name in os.environ}


def foreign_environment() -> dict[str, str]:
    """Return the environment without the variables that the settings or Dagster read."""
    return {name: text for name, text in os.environ.items() if not name.startswith(_READ_BY_US)}


@contextmanager
def isolated(directory: Path) -> Generator[None]:
    """Give this process only the variables of `machine_environment`, and the working directory `directory`.

    This holds for the `with` block. Nothing that is started or loaded in it sees other variables or a file `.env`.
    """
    before, working_directory = dict(os.environ), Path.cwd()
    kept = machine_environment()
    os.environ.clear()
    os.environ.update(kept)
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(working_directory)
        os.environ.clear()
        os.environ.update(before)


def run(command: Sequence[str], environment: Mapping[str, str], directory: Path | None = None) -> str:
    """Run a command with exactly this environment, and return its output. Raises `CommandFailed` if it fails."""
    done = subprocess.run(  # noqa: S603 - the commands are ours, no shell is involved
        command, env=environment, cwd=directory, check=False, capture_output=True, text=True
    )
    if done.returncode:
        last_lines = "\n".join(done.stderr.splitlines()[-_LAST_LINES:])
        raise CommandFailed(f"`{command[0]}` ended with exit code {done.returncode}. Its last lines:\n{last_lines}")
    return done.stdout


def supervised(command: Sequence[str], order: Order) -> list[str]:
    """Return the command line that runs `command` under the script `supervisor`, with the options `order`."""
    script = Path(__file__).with_name("supervisor.py")
    return [sys.executable, "-I", str(script), json.dumps(order), *command]


class Children:
    """Starts processes, detects when one ends, and stops all at the end of the `with` block.

    The children also end if this process is killed. Their working directory `directory` is new and has no file `.env`.
    """

    def __init__(self, logs: Path, *, patience: float = 10.0) -> None:
        """Write each child's output to the directory `logs`.

        When the children are stopped, those that do not end within `patience` seconds are killed.
        """
        self._logs = private_directory(logs.absolute())
        self._patience = patience
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._directory = TemporaryDirectory(dir=self._logs, prefix=".children-", ignore_cleanup_errors=True)
        self.directory = Path(self._directory.name)
        self._lock = open_private(self.directory / "running", "w")
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a process in exactly this environment. Its output is written to `<name>.log`."""
        order = Order(self._lock.name, signal.SIGTERM, self._patience)
        with open_private(self._logs / f"{name}.log", "w") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - the commands are ours, no shell is involved
                supervised(command, order),
                env=environment,
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise `ChildEnded` with the child's last lines of output if a child has ended."""
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                raise ChildEnded(f"{name} ended with exit code {code}. Its last lines:\n{self._last_lines(name)}")

    def stop(self) -> None:
        """Ask all children to end, wait, and kill the rest of their process groups."""
        self._lock.close()
        deadline = time.monotonic() + self._patience + _KILL_SECONDS
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self._running.values():
            # Even if the child has ended, its group may still have a run.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()
        self._directory.cleanup()

    def _last_lines(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])
