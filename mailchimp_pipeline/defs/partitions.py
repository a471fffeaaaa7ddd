"""Segments as Dagster partitions, `organisation/segment-id`, for each live segment of a connected organisation.

What does not belong here: the segments themselves (`database.segments`), runs (`sync_runs`).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import dagster as dg

SEGMENTS = dg.DynamicPartitionsDefinition(name="segments")


def whole_organisations(keys: Sequence[str], per_run: int) -> Iterator[list[str]]:
    """Split partition keys into runs of at most `per_run` keys. Keeps their order and never splits an organisation.

    The keys are ordered by organisation. An organisation with more than `per_run` keys is one run.
    """
    run: list[str] = []
    for _, group in groupby(keys, key=lambda key: key.rpartition("/")[0]):
        theirs = list(group)
        if run and len(run) + len(theirs) > per_run:
            yield run
            run = []
        run += theirs
    if run:
        yield run
