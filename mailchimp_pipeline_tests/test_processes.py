"""Child processes: they end with whoever started them, and say why where they end before."""

from pathlib import Path

import psutil
import pytest

from mailchimp_pipeline.processes import ChildEnded, Children, CommandFailed, run
from mailchimp_pipeline_tests.process_table import is_running
from mailchimp_pipeline_tests.waiting import eventually


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
