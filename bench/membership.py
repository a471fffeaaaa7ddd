"""The membership: all employees of a large organisation into ten segments, from nothing and with nothing changed."""

from collections.abc import Sequence

from bench.figures import Figure, Scale, script
from bench.first_push import SUPPRESSED
from bench.materialize import MEMBERSHIP, materialize
from bench.people import DEPARTMENTS
from bench.stage import WorkNotDone, stage

EMPLOYEES = 1_000_000


def _measure(scale: Scale) -> Sequence[Figure]:
    employees = scale.of(EMPLOYEES)
    with stage() as here:
        here.hr.hire(["acme"], employees + SUPPRESSED)
        here.connect("acme", ["acme1"])
        here.suppress("acme", range(employees + 1, employees + SUPPRESSED + 1))
        segments = [
            here.segment("acme", "acme1", department=(f"Department {number}",)) for number in range(DEPARTMENTS)
        ]
        made, again = (materialize(here, MEMBERSHIP, segments) for _ in range(2))
        if (found := here.memberships()) != employees:
            raise WorkNotDone(f"{employees} memberships were to be made, there are {found}.")
    what = f"{employees:,} employees, {DEPARTMENTS} segments"
    return [
        Figure("membership: time", what, made.seconds, "s", "≤", 60, 20),
        Figure("membership: peak memory", what, max(made.peak_mb, again.peak_mb), "MB", "≤", 1500, 800),
        Figure("membership: time, nothing changed", what, again.seconds, "s", "≤", 20, 8),
    ]


if __name__ == "__main__":
    script(_measure)
