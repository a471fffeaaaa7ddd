"""Child processes: what of the environment they are given, and that none outlives the command that started it.

Each child leads a process group of its own, so that what it starts (Dagster's code servers and runs) ends with it.
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

from mailchimp_pipeline.embedded.private_files import open_private, private_directory
from mailchimp_pipeline.embedded.supervisor import Order
from mailchimp_pipeline.errors import PermanentError

_LAST_LINES = 15

_KILL_SECONDS = 2.0
"""How long a supervisor may take beyond its patience."""

_MACHINE = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("LANG", "LC_ALL", "LC_CTYPE", "TERM", "COLUMNS", "LINES"),
    "COVERAGE_PROCESS_CONFIG",  # the coverage of the tests counts child processes too
)
"""What programs need to run on this machine, and what says nothing about databases, accounts or data."""

_READ_BY_US = ("MAILCHIMP_", "DAGSTER_")
"""What the names of variables begin with that the settings or Dagster read."""


class ChildEnded(PermanentError):
    """A child process that should have kept running has ended."""


class CommandFailed(PermanentError):
    """A command did not do what it was to do."""


def machine_environment() -> dict[str, str]:
    """Return what of this process's environment is about the machine alone."""
    return {name: os.environ[name] for name in _MACHINE if name in os.environ}


def foreign_environment() -> dict[str, str]:
    """Return this process's environment without the variables that the settings or Dagster read."""
    return {name: text for name, text in os.environ.items() if not name.startswith(_READ_BY_US)}


@contextmanager
def isolated(directory: Path) -> Generator[None]:
    """Leave this process nothing of its environment but `machine_environment`, and let it work in the directory.

    Everything that the process starts or loads meanwhile sees no other variable, and no file `.env`.
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
    """Run a command to its end, in exactly this environment, and return what it wrote. Raises `CommandFailed`."""
    done = subprocess.run(  # noqa: S603 - the commands are ours, no shell is involved
        command, env=environment, cwd=directory, check=False, capture_output=True, text=True
    )
    if done.returncode:
        last_lines = "\n".join(done.stderr.splitlines()[-_LAST_LINES:])
        raise CommandFailed(f"`{command[0]}` ended with exit code {done.returncode}. Its last lines:\n{last_lines}")
    return done.stdout


def supervised(command: Sequence[str], order: Order) -> list[str]:
    """Return the command by which `supervisor` runs a command as ordered."""
    script = Path(__file__).with_name("supervisor.py")
    return [sys.executable, "-I", str(script), json.dumps(order), *command]


class Children:
    """Starts processes, says when one has ended before its time, and ends them all on leaving.

    They also end if this process is killed. They work in `directory`, which is new: no file `.env` is there.
    """

    def __init__(self, logs: Path, *, patience: float = 10.0) -> None:
        """Keep each child's output in the directory `logs`; on leaving, kill what has not ended in `patience` s."""
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
        """Start a process under the name, in exactly this environment; its output goes to `<name>.log`."""
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
        """Raise `ChildEnded`, with the last lines it wrote, where a child is no longer running."""
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                raise ChildEnded(f"{name} ended with exit code {code}. Its last lines:\n{self._last_lines(name)}")

    def stop(self) -> None:
        """Ask every child to end, wait, and kill what is left of their groups."""
        self._lock.close()
        deadline = time.monotonic() + self._patience + _KILL_SECONDS
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self._running.values():
            # Also where the child has ended: a run that it started may still be in its group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._running.clear()
        self._directory.cleanup()

    def _last_lines(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])
