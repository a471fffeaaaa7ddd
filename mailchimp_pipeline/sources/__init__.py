"""Sources of employees and vendors: files in a directory, or a database.

A new kind of source needs a module with a class that implements `contacts.Source`, and a line in `open_source`. What
does not belong here: the meaning of rows (`contacts`).
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import pandas as pd

from mailchimp_pipeline.contacts import EntityType, RelationVersion, Source
from mailchimp_pipeline.sources.files import FileSource, Quiet
from mailchimp_pipeline.sources.format import SourceAwayError, SourceChangedError, UnreadableSourceError
from mailchimp_pipeline.sources.sql import SqlSource

__all__ = [
    "FileSource",
    "LateSource",
    "Quiet",
    "SourceAwayError",
    "SourceChangedError",
    "SqlSource",
    "UnreadableSourceError",
    "open_source",
]


def open_source(location: str, employees: str | None = None, vendors: str | None = None) -> Source:
    """Return the source at a location: an SQLAlchemy URL, or the path of a directory with CSV or Parquet files.

    `employees` and `vendors` are table names or queries, and are allowed only for a database. By default the tables
    `employees` and `vendors` are read. Nothing is read or connected to yet. Raises `UnreadableSourceError` if the
    location is invalid.
    """
    if "://" in location:
        return SqlSource.at(location, employees=employees or "employees", vendors=vendors or "vendors")
    if employees or vendors:
        raise UnreadableSourceError(
            "MAILCHIMP_PIPELINE_SOURCE names a directory of files, and files have no tables or queries. "
            "Unset MAILCHIMP_PIPELINE_EMPLOYEES and MAILCHIMP_PIPELINE_VENDORS, or set the URL of a database."
        )
    return FileSource(Path(location))


class LateSource:
    """A source that is opened at the first read, by calling `open_it`.

    A wrong setting therefore does not prevent the start: instead, every read raises the error of `open_it`.
    """

    def __init__(self, open_it: Callable[[], Source]) -> None:
        self._open = open_it

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows of the relation (employees or vendors)."""
        return self._source.read(relation, organisation_id)

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the rows of one contact, as in `contacts.Source.find`."""
        return self._source.find(relation, organisation_id, entity_id)

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows and the version of the relation."""
        return self._source.describe(relation)

    @cached_property
    def _source(self) -> Source:
        return self._open()
