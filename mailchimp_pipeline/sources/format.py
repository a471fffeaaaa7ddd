"""What all kinds of sources share: their errors, column names, and the filter for the rows of one contact.

`SourceAwayError` and `SourceChangedError` are `Interrupted`, `UnreadableSourceError` is a `PermanentError`. Their texts
and causes do not contain messages of drivers or parsers, which may quote rows.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from mailchimp_pipeline.contacts import RELATION_COLUMNS, EntityType, MissingColumnError, normalised
from mailchimp_pipeline.contacts.text_columns import pc, same_text
from mailchimp_pipeline.errors import Interrupted, PermanentError


class SourceAwayError(Interrupted):
    """The source's database does not answer."""


class SourceChangedError(Interrupted):
    """A file changed while it was read, or is being written."""


class UnreadableSourceError(PermanentError):
    """A source or relation does not exist or cannot be read."""


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


Columns = Mapping[str, pa.StringArray]
"""Columns of equal length, by their names in `RELATION_COLUMNS`."""

Opener = Callable[[], BinaryIO]
"""Opens the file for reading."""


@dataclass(frozen=True, slots=True)
class ContactFilter:
    """Selects the rows of one contact of an organisation."""

    relation: EntityType
    organisation_id: str
    entity_id: str

    COLUMNS = ("organisation_id", "id")

    def mask(self, columns: Columns) -> pa.BooleanArray:
        """Return which rows belong to the contact. Raises `MissingColumnError`."""
        for name in self.COLUMNS:
            if name not in columns:
                raise MissingColumnError(self.relation.relation, name)
        return pc.and_(
            same_text(columns["organisation_id"], self.organisation_id), same_text(columns["id"], self.entity_id)
        )

    def rows(self, columns: Columns) -> Columns:
        """Return the contact's rows. Raises `MissingColumnError`."""
        mask = self.mask(columns)
        return {name: pc.filter(column, mask) for name, column in columns.items()}
