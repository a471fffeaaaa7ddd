"""The memory of a push: the most that a run had, for a large first push and for one ten times as large."""

from collections.abc import Sequence

from bench.figures import Figure, Scale, script
from bench.first_push import first_push
from bench.stage import stage

_SIZES = (100_000, 1_000_000)

_WHERE = (
    "Python with Dagster, pandas and Arrow is 240 MB. The most is needed for seconds before anything is sent: all the "
    "organisation's contacts are in memory, as read and sorted, since duplicates and shared addresses are found among "
    "all of them, and while addresses are numbered. The push itself stays at 550 MB from its first batch to its last."
)
"""By the resident memory over a run, beside what Arrow says it has."""


def _measure(scale: Scale) -> Sequence[Figure]:
    small, large = (scale.of(size) for size in _SIZES)
    with stage() as here, here.without_latency():
        peak = first_push(here, "large", large)[1].peak_mb
        least = first_push(here, "small", small)[1].peak_mb if scale.is_full else peak
    beside = f"{small:,} contacts {least:.0f} MB, {large:,} contacts {peak:.0f} MB"
    return [
        Figure(
            "memory of a push",
            f"{large:,} contacts, peak of the run's process",
            peak,
            "MB",
            "≤",
            800,
            400,
            beside,
            _WHERE,
        ),
        Figure(
            "memory of a push: growth",
            "times as much for ten times the contacts",
            peak / least,
            "",
            "≤",
            1.2,
            1.2,
            where=_WHERE,
        ),
    ]


if __name__ == "__main__":
    script(_measure)
