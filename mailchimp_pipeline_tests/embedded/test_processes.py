"""Child processes end with their parent, and report an early end."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from mailchimp_pipeline.embedded.processes import (
    ChildEnded,
    Children,
    CommandFailed,
    isolated,
    machine_environment,
    run,
)
from mailchimp_pipeline_tests.process_table import is_running
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, eventually

_PARENT = """
import signal, sys, time
from pathlib import Path
from mailchimp_pipeline.embedded.processes import Children, machine_environment
with Children(Path(sys.argv[1]), patience=float(sys.argv[2])) as children:
    # A test run that was started in the background ignores it, and so would this process.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    children.start("child", ["sh", "-c", sys.argv[3]], machine_environment())
    time.sleep(600)
"""


def written(logs: Path, name: str) -> list[str]:
    log = logs / f"{name}.log"
    return log.read_text().split() if log.exists() else []


def test_children_end_with_the_block(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("sleeper", ["sh", "-c", "echo $$; exec sleep 600"], {})
        eventually(lambda: written(tmp_path, "sleeper"))
        children.check()
    assert not psutil.pid_exists(int(written(tmp_path, "sleeper")[0]))


def test_what_does_not_want_to_end_is_killed_and_its_own_children_too(tmp_path: Path) -> None:
    stubborn = 'trap "" TERM; sleep 600 & echo $$ $!; wait'
    with Children(tmp_path, patience=0.1) as children:
        children.start("stubborn", ["sh", "-c", stubborn], {})
        eventually(lambda: len(written(tmp_path, "stubborn")) == 2)
        both = [psutil.Process(int(pid)) for pid in written(tmp_path, "stubborn")]
    eventually(lambda: not any(map(is_running, both)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
@pytest.mark.parametrize("command", ["sleep 600 & echo $$ $!; wait", 'trap "" TERM HUP; sleep 600 & echo $$ $!; wait'])
def test_children_end_also_when_their_parent_is_killed(tmp_path: Path, number: signal.Signals, command: str) -> None:
    arguments = [sys.executable, "-c", _PARENT, str(tmp_path), "0.5", command]
    with subprocess.Popen(arguments) as parent:
        eventually(lambda: len(written(tmp_path, "child")) == 2, START_TIMEOUT_SECONDS)
        every = [psutil.Process(int(pid)) for pid in written(tmp_path, "child")]
        every += psutil.Process(parent.pid).children(recursive=True)
        assert all(map(is_running, every))
        parent.send_signal(number)
    eventually(lambda: not any(map(is_running, every)))


def test_a_child_gets_exactly_the_environment_that_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    with Children(tmp_path) as children:
        children.start("shown", ["/usr/bin/env"], {"GIVEN": "1"})
        eventually(lambda: written(tmp_path, "shown"))
        # Python adds these if no language is set.
        assert {line for line in written(tmp_path, "shown") if not line.startswith("LC_CTYPE")} == {"GIVEN=1"}


def test_an_isolated_process_sees_what_is_about_the_machine_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", "/nowhere")
    monkeypatch.setenv("MAILCHIMP_PROXY", "http://127.0.0.1:1")
    before, show = Path.cwd(), ["sh", "-c", "env; pwd"]
    with isolated(tmp_path):
        shown = subprocess.run(show, check=True, capture_output=True, text=True).stdout
        assert Path.cwd() == tmp_path
    after = subprocess.run(show, check=True, capture_output=True, text=True).stdout
    by_the_shell = {"PWD", "OLDPWD", "SHLVL", "_", "COLUMNS", "LINES"}
    assert {line.partition("=")[0] for line in shown.splitlines()[:-1]} <= {*machine_environment(), *by_the_shell}
    assert ("PGHOST=/nowhere" in after, Path.cwd()) == (True, before)


def test_a_child_that_ends_before_its_time_is_told_with_its_last_lines(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        children.start("brief", ["sh", "-c", 'echo "no $WHAT"; exit 3'], {"WHAT": "port"})
        with pytest.raises(ChildEnded, match=r"brief ended with exit code 3.*\nno port"):
            eventually(children.check)
    with pytest.raises(ChildEnded, match="still"):
        raise_of_a_child_that_ends_while_others_go_on(tmp_path)


def raise_of_a_child_that_ends_while_others_go_on(logs: Path) -> None:
    with Children(logs) as children:
        children.start("long", ["sleep", "600"], {})
        children.start("short", ["sh", "-c", "echo still; exit 1"], {})
        eventually(children.check)


def test_a_command_that_fails_is_told_with_its_last_lines() -> None:
    run(["true"], {})
    with pytest.raises(CommandFailed, match=r"`sh` ended with exit code 2.*\nwhy: because"):
        run(["sh", "-c", 'echo "why: $REASON" >&2; exit 2'], {"REASON": "because"})
