"""Runs every script, prints the table and writes it to `RESULTS.md`: `python -m bench.report [--scale 1/20]`.

The README gets it too. At a smaller scale the scripts run to see that they work, and nothing is written.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import typer
from rich.console import Console
from rich.table import Table

from bench.figures import Figure, Scale
from mailchimp_pipeline.embedded.processes import foreign_environment, run
from mailchimp_pipeline.settings import PROJECT_ROOT

_SCRIPTS = (
    "first_push",
    "peer_pushes",
    "daily_sync",
    "membership",
    "memory",
    "scheduled_sync",
    "manual_request",
    "api_rate",
    "pages",
)
_NEEDS_PEERS = {"peer_pushes"}
"""Left out at a smaller scale: there is no time to install what others built."""

_ABOUT = (
    "Measured on {at:%Y-%m-%d} by `make bench`, on {machine}. Mailchimp is the sandbox, which answers in 300 ms, and "
    "0.2 ms later for each contact of a batch. The bound and the peers are measured in the same run: the ratios say "
    "more than the seconds."
)
_TITLES = ("figure", "measured", "reach", "aim", "what", "beside it, in the same run")
_PAGE = Path(__file__).parent / "RESULTS.md"
_README = PROJECT_ROOT / "README.md"
_FIRST, _LAST = "<!-- figures -->", "<!-- end of figures -->"


def _report(scale: str = "1") -> None:
    begun, wanted, console = time.monotonic(), Scale.parse(scale), Console(width=200)
    names = [name for name in _SCRIPTS if wanted.is_full or name not in _NEEDS_PEERS]
    # Two at a time they would disturb each other, which is of no consequence where the figures do not count.
    with TemporaryDirectory() as directory, ThreadPoolExecutor(1 if wanted.is_full else 2) as pool:
        figures = [figure for found in pool.map(partial(_figures, scale, Path(directory)), names) for figure in found]
    console.print(_table(figures, is_full=wanted.is_full))
    console.print(f"{len(figures)} figures in {time.monotonic() - begun:.0f} s.")
    if wanted.is_full:
        _PAGE.write_text(_page(figures))
        _README.write_text(_in_readme(_README.read_text(), figures))
    else:
        console.print(f"Left out at this scale: {', '.join(_NEEDS_PEERS)}.")


def _figures(scale: str, directory: Path, name: str) -> list[Figure]:
    file = directory / f"{name}.json"
    said = run([sys.executable, "-m", f"bench.{name}", "--scale", scale, "--json", str(file)], foreign_environment())
    sys.stdout.write(said)
    sys.stdout.flush()
    return [Figure(**each) for each in json.loads(file.read_text())]


def _table(figures: Sequence[Figure], *, is_full: bool) -> Table:
    table = Table(*_TITLES[: 4 if is_full else 2])
    for figure in figures:
        table.add_row(*(_row(figure)[:4] if is_full else (figure.name, figure.told(figure.value))))
    return table


def _page(figures: Sequence[Figure]) -> str:
    """Return the page: when and where it was measured, and the figures as a table."""
    about = _ABOUT.format(at=datetime.now(UTC), machine=_machine())
    why = [f"- {figure.name}: {figure.where}" for figure in figures if figure.where and not figure.is_reached]
    told = ["## Not reached, and where the time goes", "", *why, ""] if why else []
    return "\n".join(["# What it costs", "", about, "", *_markdown(_TITLES, map(_row, figures)), "", *told])


def _in_readme(readme: str, figures: Sequence[Figure]) -> str:
    """Return the README with the figures in their place."""
    before, _, rest = readme.partition(_FIRST)
    _, _, after = rest.partition(_LAST)
    titles = ("figure", "what", "measured", "to reach")
    rows = [
        (figure.name, figure.what, measured, reach) for figure in figures for _, measured, reach, *_ in [_row(figure)]
    ]
    return "\n".join([f"{before}{_FIRST}", *_markdown(titles, rows), f"{_LAST}{after}"])


def _markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (titles, ["---"] * len(titles), *rows)]


def _row(figure: Figure) -> tuple[str, ...]:
    measured = figure.told(figure.value) + ("" if figure.is_reached else " (not met)")
    asked = (f"{figure.is_good} {figure.told(each)}" for each in (figure.reach, figure.aim))
    return figure.name, measured, *asked, figure.what, figure.beside


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores ({platform.machine()}) with {memory:.0f} GiB, Python {platform.python_version()}"


if __name__ == "__main__":
    typer.run(_report)
