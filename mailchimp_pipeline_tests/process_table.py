"""Processes as the system lists them, also those that end while they are looked at."""

from contextlib import suppress

import psutil


def is_running(process: psutil.Process) -> bool:
    """Whether it runs. Nobody may have collected an orphan yet: it is dead all the same."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def called(word: str) -> list[psutil.Process]:
    """Return this process's children and theirs that have the word in their command, the first one first.

    Supervisors, which have the command of what they run in theirs, are left out.
    """
    found: list[psutil.Process] = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            command = " ".join(child.cmdline())
            if word in command and "supervisor.py" not in command:
                found.append(child)
    return sorted(found, key=lambda child: child.create_time())
