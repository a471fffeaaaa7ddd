"""Types shared by the file formats, and the filter for the rows of one contact.

What does not belong here: the formats (`csv_format`, `parquet_format`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from mailchimp_pipeline.contacts import EntityType, MissingColumnError
from mailchimp_pipeline.contacts.arrow import pc
from mailchimp_pipeline.contacts.text import same_text

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
