"""The memory of a push: the most that a run had, for a large first push and for one ten times as large."""

from collections.abc import Sequence

from bench.figures import Figure, Scale, script
from bench.first_push import first_push
from bench.stage import stage

_SIZES = (100_000, 1_000_000)


def _measure(scale: Scale) -> Sequence[Figure]:
    small, large = (scale.of(size) for size in _SIZES)
    with stage() as here, here.without_latency():
        peak = first_push(here, "large", large)[1].peak_mb
        least = first_push(here, "small", small)[1].peak_mb if scale.is_full else peak
    beside = f"{small:,} contacts {least:.0f} MB, {large:,} contacts {peak:.0f} MB"
    return [
        Figure("memory of a push", f"{large:,} contacts, peak of the run's process", peak, "MB", "≤", 800, 400, beside),
        Figure("memory of a push: growth", "times as much for ten times the contacts", peak / least, "", "≤", 1.2, 1.2),
    ]


if __name__ == "__main__":
    script(_measure)
