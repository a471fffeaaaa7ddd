"""The tests and commands in docs/promises.md exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import typer

from mailchimp_pipeline.cli import app
from mailchimp_pipeline.settings import PROJECT_ROOT

ROW = re.compile(r"^\| (?!promise|---)(.+) \| (.+) \| .*\|$", re.MULTILINE)
COMMAND = re.compile(r"(make|mailchimp-pipeline) ([a-z-]+)")


def checks() -> Iterator[tuple[str, list[str]]]:
    """Yield each promise with its tests and commands."""
    for promise, checked_by in ROW.findall((PROJECT_ROOT / "docs" / "promises.md").read_text(encoding="utf-8")):
        yield promise, re.findall(r"`([^`]+)`", checked_by)


def has_tests(place: str) -> bool:
    path, _, name = place.partition("::")
    named = f"def {name}(" if name else "def test_"
    found = PROJECT_ROOT / path
    files = sorted(found.glob("test_*.py")) if found.is_dir() else [found] if found.is_file() else list[Path]()
    return any(named in file.read_text(encoding="utf-8") for file in files)


def is_command(text: str) -> bool:
    found = COMMAND.fullmatch(text)
    if found is None:
        return False
    if found[1] == "make":
        return f"\n{found[2]}:" in (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")
    return found[2] in getattr(typer.main.get_command(app), "commands", {})


def test_every_promise_names_existing_tests_and_commands() -> None:
    promises = list(checks())

    assert len(promises) > 20
    assert [promise for promise, checked_by in promises if not checked_by] == []
    assert [one for _, checked_by in promises for one in checked_by if not (has_tests(one) or is_command(one))] == []
