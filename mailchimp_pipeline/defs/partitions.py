"""Segments as Dagster partitions: one per live segment of a connected organisation, `organisation/segment-id`.

What does not belong here: which segments there are (`database.segments`), runs (`sync_runs`).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

import dagster as dg

SEGMENTS = dg.DynamicPartitionsDefinition(name="segments")


def whole_organisations(keys: Sequence[str], per_run: int) -> Iterator[list[str]]:
    """Split partition keys into runs of at most `per_run`, keeping their order and never cutting an organisation.

    Keys of one organisation follow each other. An organisation with more than `per_run` keys is a run of its own.
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
