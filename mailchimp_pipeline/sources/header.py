"""The names of columns in files and databases, as the relations call them.

What does not belong here: which of them are needed (`contacts`).
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mailchimp_pipeline.contacts import RELATION_COLUMNS, normalised
from mailchimp_pipeline.sources.errors import UnreadableSourceError


def column_name(name: str) -> str:
    """Return the form in which the names of columns are compared: normalised, in lower case."""
    return normalised(name).lower()


def column_names(header: Sequence[str], path: Path) -> list[str]:
    """Return each `column_name`; none at all, or one of ours twice, is an error."""
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
