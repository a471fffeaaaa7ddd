"""Sources of employees and vendors: files in a directory, or a database.

A new kind of source is a module with a class that implements `contacts.Source`, and a line in `open_source`. What does
not belong here: the meaning of rows (`contacts`).
"""

from pathlib import Path

from mailchimp_pipeline.contacts import Source
from mailchimp_pipeline.sources.errors import SourceAwayError, SourceChangedError, UnreadableSourceError
from mailchimp_pipeline.sources.files import FileSource, Quiet
from mailchimp_pipeline.sources.late import LateSource
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

    `employees` and `vendors` are table names or queries, for SQL only. Their defaults are the tables of these names.
    The source is not read or connected to yet. Raises `UnreadableSourceError` for an invalid location.
    """
    if "://" in location:
        return SqlSource.at(location, employees=employees or "employees", vendors=vendors or "vendors")
    if employees or vendors:
        raise UnreadableSourceError(
            "MAILCHIMP_PIPELINE_SOURCE names a directory of files, and files have no tables or queries. "
            "Unset MAILCHIMP_PIPELINE_EMPLOYEES and MAILCHIMP_PIPELINE_VENDORS, or set the URL of a database."
        )
    return FileSource(Path(location))
