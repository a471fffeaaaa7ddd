"""Segments as Dagster partitions: one a live segment of a connected organisation, `organisation/segment-id`.

What does not belong here: which segments there are (`database.segments`).
"""

from collections.abc import Collection, Iterator, Sequence

import dagster as dg

SEGMENTS = dg.DynamicPartitionsDefinition(name="segments")

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def contiguous_ranges(keys: Sequence[str], wanted: Collection[str], longest: int) -> Iterator[tuple[str, str]]:
    """Yield first and last key of the fewest ranges of `keys` that hold all of `wanted` and nothing else.

    Dagster asks for several partitions in one run by such a range, in the order in which it keeps the keys.
    """
    chosen = set(wanted)
    run: list[str] = []
    for key in keys:
        if key in chosen and len(run) < longest:
            run.append(key)
            continue
        if run:
            yield run[0], run[-1]
        run = [key] if key in chosen else []
    if run:
        yield run[0], run[-1]


def range_tags(first: str, last: str) -> dict[str, str]:
    """Return the tags by which a run takes the partitions from `first` to `last`."""
    return {RANGE_START: first, RANGE_END: last}
