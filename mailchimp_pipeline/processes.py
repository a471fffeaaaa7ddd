"""Child processes that never outlive the command that started them.

Each child leads a process group of its own, so that what it starts (Dagster's code servers and runs) ends with it.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from mailchimp_pipeline.errors import LastingError

_LAST_LINES = 15


class ChildEnded(LastingError):
    """A child process that should have kept running has ended."""


class CommandFailed(LastingError):
    """A command did not do what it was to do."""


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a command to its end, beside this process's environment in that one; return what it wrote.

    Raises `CommandFailed`.
    """
    done = subprocess.run(  # noqa: S603 - the commands are ours, no shell is involved
        command, env=os.environ | environment, check=False, capture_output=True, text=True
    )
    if done.returncode:
        last_lines = "\n".join(done.stderr.splitlines()[-_LAST_LINES:])
        raise CommandFailed(f"`{command[0]}` ended with exit code {done.returncode}. Its last lines:\n{last_lines}")
    return done.stdout


class Children:
    """Starts processes, says when one has ended before its time, and ends them all on leaving."""

    def __init__(self, logs: Path, *, patience: float = 10.0) -> None:
        """Keep each child's output in the directory `logs`; on leaving, kill what has not ended in `patience` s."""
        self._logs = logs
        self._patience = patience
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start a process under the name; its output goes to `<name>.log`."""
        with (self._logs / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(  # noqa: S603 - the commands are ours, no shell is involved
                command,
                env={**os.environ, **environment},
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
        for process in self._running.values():
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + self._patience
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self._running.values():
            # Also where the leader has ended: a run that it started may still be in its group.
            _signal_group(process, signal.SIGKILL)
            process.wait()
        self._running.clear()

    def _last_lines(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])


def _signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
