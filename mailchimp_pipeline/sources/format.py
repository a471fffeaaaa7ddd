"""What all kinds of sources share: errors, column names, and the filter for the rows of one contact.

The texts and causes of the errors do not contain messages of drivers or parsers, which may quote rows.
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
    """The source's database does not answer. A later attempt may succeed."""


class SourceChangedError(Interrupted):
    """A file changed while it was read, or is still being written. A later attempt may succeed."""


class UnreadableSourceError(PermanentError):
    """A source, or one of its relations, does not exist or cannot be read."""


def column_name(name: str) -> str:
    """Return the column name as it is compared: normalised and in lower case."""
    return normalised(name).lower()


def column_names(header: Sequence[str], path: Path) -> list[str]:
    """Return the `column_name` of each column of a file's header. `path` is for error messages.

    Raises `UnreadableSourceError` if the header is empty or has a column of `RELATION_COLUMNS` twice.
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
"""Columns of equal length by name. The names are in `RELATION_COLUMNS`."""

Opener = Callable[[], BinaryIO]
"""A function that opens the file for reading, each time from its start."""


@dataclass(frozen=True, slots=True)
class ContactFilter:
    """Selects the rows of one contact of an organisation."""

    relation: EntityType
    organisation_id: str
    entity_id: str

    COLUMNS = ("organisation_id", "id")

    def mask(self, columns: Columns) -> pa.BooleanArray:
        """Return for each row whether it belongs to the contact.

        Raises `MissingColumnError` if there is no column `organisation_id` or `id`.
        """
        for name in self.COLUMNS:
            if name not in columns:
                raise MissingColumnError(self.relation.relation, name)
        return pc.and_(
            same_text(columns["organisation_id"], self.organisation_id), same_text(columns["id"], self.entity_id)
        )

    def rows(self, columns: Columns) -> Columns:
        """Return the contact's rows.

        Raises `MissingColumnError` if there is no column `organisation_id` or `id`.
        """
        mask = self.mask(columns)
        return {name: pc.filter(column, mask) for name, column in columns.items()}
