"""A figure as it is told: what was measured, what is asked of it, and whether it is that good.

What does not belong here: measuring (the scripts), the page they end up on (`report`).
"""

import json
import math
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from operator import ge, le
from pathlib import Path
from statistics import linear_regression
from typing import Annotated

import typer
from rich.console import Console

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {"≤": le, "≥": ge}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; `is_good` is `≤` or `≥`, what `reach` and `aim` stand behind."""

    name: str
    what: str
    value: float
    unit: str
    is_good: str
    reach: float
    aim: float
    beside: str = ""
    """What was measured in the same run, for who wants to judge the number."""
    where: str = ""
    """Where the time goes by a profile, for a figure that may not be reached."""

    @property
    def is_reached(self) -> bool:
        """Whether it is as good as it must be."""
        return _COMPARISONS[self.is_good](self.value, self.reach)

    def told(self, value: float) -> str:
        """Return a value of this figure, or what it is compared to, in its unit."""
        digits = f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"
        return f"{digits} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Scale:
    """How much smaller than asked for the work is: 1 for the figures, 1/20 to see that the scripts work."""

    share: Fraction

    @classmethod
    def parse(cls, text: str) -> "Scale":
        """Return the scale that a text such as 1 or 1/20 says."""
        return cls(Fraction(text))

    @property
    def is_full(self) -> bool:
        """Whether the figures are those that count."""
        return self.share == 1

    def of(self, count: int) -> int:
        """Return so many of the work, at least one."""
        return max(1, round(count * self.share))


def exponent(works: Sequence[float], seconds: Sequence[float]) -> float:
    """Return how time grows with work, by least squares over the logarithms: 1 is linear."""
    return linear_regression([math.log(work) for work in works], [math.log(each) for each in seconds]).slope


def script(measure: Callable[[Scale], Sequence[Figure]]) -> None:
    """Run a script: measure, print, and write the figures to the file that `--json` names."""

    def command(scale: str = "1", json_file: Annotated[Path | None, typer.Option("--json")] = None) -> None:
        # Whoever ends it from outside ends it like Ctrl-C: what it started goes with it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        console, wanted = Console(width=160), Scale.parse(scale)
        figures = measure(wanted)
        for figure in figures:
            # The fixed cost of a run is no smaller where the work is: smaller figures show that the script works.
            mark = ("met" if figure.is_reached else "NOT MET") if wanted.is_full else f"at {scale} of the size"
            console.print(f"{figure.name}: {figure.told(figure.value)} ({mark}). {figure.beside}", highlight=False)
        if json_file:
            json_file.write_text(json.dumps([asdict(figure) for figure in figures]))

    typer.run(command)
