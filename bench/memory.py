"""The memory of a push: the most that a run had, for a large first push and for one ten times as large."""

from collections.abc import Sequence

from bench.figures import Figure, Scale, script
from bench.first_push import first_push
from bench.stage import stage

_SIZES = (100_000, 1_000_000)


def _measure(scale: Scale) -> Sequence[Figure]:
    with stage() as here, here.without_latency():
        small, large = (
            first_push(here, f"size{place}", scale.of(size))[1].peak_mb for place, size in enumerate(_SIZES)
        )
    contacts = f"{scale.of(_SIZES[1]):,} contacts"
    beside = f"{scale.of(_SIZES[0]):,} contacts {small:.0f} MB, {contacts} {large:.0f} MB"
    return [
        Figure("memory of a push", f"{contacts}, peak of the run's process", large, "MB", "≤", 800, 400, beside),
        Figure(
            "memory of a push: growth",
            "times as much for ten times the contacts",
            large / small,
            "",
            "≤",
            1.2,
            1.2,
            beside,
        ),
    ]


if __name__ == "__main__":
    script(_measure)
