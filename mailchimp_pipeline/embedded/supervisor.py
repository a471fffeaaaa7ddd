"""A script that runs a command while some process holds a lock on a file, and then ends the command's process group.

The kernel releases the locks of a process that ends in any way, so no child outlives its parent. This script uses only
the standard library, because one runs beside every child.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_AWAITED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


class Order(NamedTuple):
    """The options of a supervised command. `lock` is the path of the file whose lock keeps the command running.

    `stop_signal` asks the command to end. After `patience` seconds, the rest of its process group is killed. A
    `detached` command runs in the background, in a session of its own. `user` and `extra_groups` are those that the
    command runs as, by default the supervisor's.
    """

    lock: str
    stop_signal: int
    patience: float
    detached: bool = False
    user: str | None = None
    extra_groups: list[int] | None = None


def supervise(order: Order, command: Sequence[str]) -> int:
    """Run the command until it ends or the lock is released. Return the command's exit code."""
    if order.detached:
        if os.fork():
            os._exit(0)
        os.setsid()
    process = subprocess.Popen(  # noqa: S603 - the commands are ours, no shell is involved
        command, user=order.user, extra_groups=order.extra_groups
    )
    # Without a handler, some systems drop the blocked SIGCHLD.
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    threading.Thread(target=_tell_when_nobody_holds, args=(order.lock,), daemon=True).start()
    while process.poll() is None:
        if signal.sigwait(_AWAITED) != signal.SIGCHLD:
            _end(process, order)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def _tell_when_nobody_holds(lock: str) -> None:
    # A missing file has no lock.
    with suppress(OSError), Path(lock).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait()
    os.kill(os.getpid(), signal.SIGTERM)


def _end(process: "subprocess.Popen[bytes]", order: Order) -> None:
    """Ask the process group to end, wait for the command, and kill the rest of the group, including this process."""
    os.kill(0, order.stop_signal)
    with suppress(subprocess.TimeoutExpired):
        process.wait(order.patience)
    os.kill(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(supervise(Order(*json.loads(sys.argv[1])), sys.argv[2:]))
