"""Figures over time as SVG: a panel for each campaign with its rates, also as text, and one for a count."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

from mailchimp_pipeline.campaigns.tracked_campaign import Stats

_COLUMNS: Final = 3
_WIDTH, _HEIGHT = 250, 150
"""The size of a panel in pixels."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 14, 34, 24
_LEGEND_HEIGHT: Final = 26
_LONGEST_TITLE: Final = 32
_OPENS, _CLICKS, _INK, _GRID = "#4f43dd", "#b45309", "#30303a", "#d8d8e0"


_DASHES: Final = ' stroke-dasharray="4 3"'
"""The dashes of the click rate, which distinguish the lines without colours."""


def rates_plot(histories: Sequence[tuple[str, Sequence[Stats]]]) -> str:
    """Return a plot of the campaigns' open and click rates over time, as SVG.

    `histories` has the title and the stats of each campaign, the stats oldest first, at least one for each.
    """
    columns = min(_COLUMNS, max(1, len(histories)))
    rows = -(-len(histories) // columns)
    parts = [
        f'<line x1="10" y1="14" x2="28" y2="14" stroke="{_OPENS}" stroke-width="1.5"/>',
        f'<text x="32" y="17" fill="{_OPENS}">open rate</text>',
        f'<line x1="92" y1="14" x2="110" y2="14" stroke="{_CLICKS}" stroke-width="1.5"{_DASHES}/>',
        f'<text x="114" y="17" fill="{_CLICKS}">click rate</text>',
        '<text x="176" y="17">times in UTC</text>',
    ]
    for number, (title, stats) in enumerate(histories):
        x, y = number % columns * _WIDTH, _LEGEND_HEIGHT + number // columns * _HEIGHT
        parts += [f'<g transform="translate({x} {y})">', *_rates(title, stats), "</g>"]
    return _svg(columns * _WIDTH, _LEGEND_HEIGHT + rows * _HEIGHT, parts)


def rates_text(histories: Sequence[tuple[str, Sequence[Stats]]]) -> str:
    """Return the campaigns' latest open and click rates as text, for screen readers."""
    latest = ((_printable(title), stats[-1].figures) for title, stats in histories)
    return "; ".join(f"{title} {now.open_rate:.1%} opened, {now.click_rate:.1%} clicked" for title, now in latest)


def counts_plot(counts: Sequence[tuple[datetime, int]]) -> str:
    """Return a plot of a count over time, as SVG. `counts` begins with the oldest, and has at least one."""
    times, values = [at for at, _ in counts], [count for _, count in counts]
    top = max(1, *values)
    # The greatest count stands above its line, because a long number does not fit beside it.
    label = f'<text x="{_LEFT}" y="{_TOP - 6}">{top:,}</text>'
    parts = [label, *_axes(times, "0", "", "%d %b %Y"), *_line(times, values, top, _OPENS)]
    return _svg(_WIDTH, _HEIGHT, parts)


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    size = f'width="{width}" height="{height}"'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {width} {height}"'
        f' font-family="sans-serif" font-size="10" fill="{_INK}"><rect {size} fill="#ffffff"/>'
    )
    return "".join([head, *parts, "</svg>"])


def _rates(title: str, stats: Sequence[Stats]) -> Iterator[str]:
    shown = title if len(title) <= _LONGEST_TITLE else f"{title[: _LONGEST_TITLE - 1]}…"
    opens = [row.figures.open_rate for row in stats]
    clicks = [row.figures.click_rate for row in stats]
    top = _next_tenth(max(*opens, *clicks))
    # The database returns times in the time zone of its session.
    times = [row.refreshed_at.astimezone(UTC) for row in stats]
    yield f'<text x="{_LEFT}" y="20" font-size="11" font-weight="bold">{escape(_printable(shown))}</text>'
    yield from _axes(times, "0%", f"{top:.0%}", "%d %b %H:%M")
    yield from _line(times, opens, top, _OPENS)
    yield from _line(times, clicks, top, _CLICKS, _DASHES)


def _axes(times: Sequence[datetime], bottom: str, top: str, time_format: str) -> Iterator[str]:
    """Yield the lines and labels of the least and the greatest value, and the first and the last time."""
    for share, label in ((0.0, bottom), (1.0, top)):
        y = _y(share, 1.0)
        yield f'<line x1="{_LEFT}" y1="{y}" x2="{_WIDTH - _RIGHT}" y2="{y}" stroke="{_GRID}"/>'
        yield f'<text x="{_LEFT - 5}" y="{y + 3:.1f}" text-anchor="end">{label}</text>'
    yield f'<text x="{_LEFT}" y="{_HEIGHT - 8}">{times[0]:{time_format}}</text>'
    if times[-1] > times[0]:
        yield f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">{times[-1]:{time_format}}</text>'


def _line(
    times: Sequence[datetime], rates: Sequence[float], top: float, colour: str, dashes: str = ""
) -> Iterator[str]:
    points = [(_x(time, times), _y(rate, top)) for time, rate in zip(times, rates, strict=True)]
    path = " ".join(f"{x},{y}" for x, y in points)
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dashes}/>'
    x, y = points[-1]
    yield f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>'


def _x(time: datetime, times: Sequence[datetime]) -> float:
    span = (times[-1] - times[0]).total_seconds()
    share = (time - times[0]).total_seconds() / span if span else 0.0
    return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)


def _y(share: float, top: float) -> float:
    return round(_HEIGHT - _BOTTOM - share / top * (_HEIGHT - _TOP - _BOTTOM), 1)


def _next_tenth(share: float) -> float:
    """Return the top of the scale: the share rounded up to a tenth, at least 0.1 and at most 1."""
    return next(tenth / 10 for tenth in range(1, 11) if share <= tenth / 10 or tenth == 10)


def _printable(text: str) -> str:
    """Replace each character that is not printable with a blank, because XML forbids some of them."""
    return "".join(character if character.isprintable() else " " for character in text)
