"""Processes as the system lists them, also those that end while they are looked at."""

from contextlib import suppress

import psutil


def is_running(process: psutil.Process) -> bool:
    """Whether it runs. Nobody may have collected an orphan yet: it is dead all the same."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def called(word: str, *, recursive: bool) -> list[psutil.Process]:
    """Return this process's children (with theirs) that have the word in their command, the first one first."""
    found: list[psutil.Process] = []
    for child in psutil.Process().children(recursive=recursive):
        with suppress(psutil.NoSuchProcess):
            if word in " ".join(child.cmdline()):
                found.append(child)
    return sorted(found, key=lambda child: child.create_time())
