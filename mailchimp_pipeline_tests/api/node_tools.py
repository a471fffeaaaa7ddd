"""Node.js and the packages of `node/`, installed once. Tests that need Node.js are skipped without it."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"
_TIMEOUT = 300


def skip_without(*tools: str, why: str) -> None:
    """Skip the test if a tool is missing. In CI, the test runs and fails instead."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"{' and '.join(missing)} not found: {why}")


def installed() -> Path:
    """Install the packages of the lock file and return their directory."""
    skip_without("node", "npm", why="install Node.js 20 or newer to test with the real clients")
    wanted = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()
    stamp = NODE / "node_modules" / ".installed"
    # Several pytest processes share the directory; one of them installs.
    with (NODE / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            _run(["npm", "ci", "--ignore-scripts"], timeout=_TIMEOUT)
            stamp.write_text(wanted)
    return NODE


def run_node(*arguments: str) -> str:
    """Run a script and return its output."""
    installed()
    return _run(["node", *arguments], timeout=_TIMEOUT).stdout


def compile_types(project: Path | None = None) -> str:
    """Return the errors of the TypeScript compiler."""
    folder = installed()
    command = [str(folder / "node_modules" / ".bin" / "tsc"), "-p", str(project or folder)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=_TIMEOUT).stdout


@contextmanager
def reference_server() -> Generator[int]:
    """Run the published tRPC server with the sample procedures and yield its port."""
    installed()
    command = ["node", "reference.mjs"]
    with subprocess.Popen(command, cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.stdin.close()


def _run(command: list[str], timeout: int) -> subprocess.CompletedProcess[str]:
    found = [shutil.which(command[0]) or command[0], *command[1:]]
    done = subprocess.run(found, cwd=NODE, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
    return done
