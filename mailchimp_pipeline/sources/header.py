"""Column names of files and databases, converted to those of the relations.

What does not belong here: which columns are required (`contacts`).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mailchimp_pipeline.contacts import RELATION_COLUMNS, normalised
from mailchimp_pipeline.sources.errors import UnreadableSourceError


def column_name(name: str) -> str:
    """Return the column name in the form for comparisons: normalised, in lower case."""
    return normalised(name).lower()


def column_names(header: Sequence[str], path: Path) -> list[str]:
    """Return the `column_name` of each column.

    Raises `UnreadableSourceError` for an empty header or a repeated column of `RELATION_COLUMNS`.
    """
    if not header:
        raise UnreadableSourceError(
            f"{path.name} is empty. Write at least a line with the names of the columns.", place=str(path)
        )
    names = [column_name(name) for name in header]
    times = Counter(names)
    for name in RELATION_COLUMNS:
        if times[name] > 1:
            raise UnreadableSourceError(
                f"{path.name} has the column '{name}' {times[name]} times. Keep the right one.", place=str(path)
            )
    return names
