"""The operating system's processes, including those that end meanwhile."""

from contextlib import suppress

import psutil


def is_running(process: psutil.Process) -> bool:
    """Return whether the process runs. A zombie does not."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def child_processes(command_part: str) -> list[psutil.Process]:
    """Return the descendants of this process whose command line contains `command_part`, oldest first.

    Supervisors are left out: their command line contains the command of their child.
    """
    found: list[psutil.Process] = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            command = " ".join(child.cmdline())
            if command_part in command and "supervisor.py" not in command:
                found.append(child)
    return sorted(found, key=lambda child: child.create_time())
