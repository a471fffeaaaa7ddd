"""Adapters that read the HR and vendor relations: from files in a directory, or by SQL.

Another kind of source is one more module with a class that meets `contacts.Source`, and a line in `open_source`.
What does not belong here: what the rows mean (`contacts`).
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
    """Return the source at a location: an SQLAlchemy URL, or the path of a directory of CSV or Parquet files.

    `employees` and `vendors` name a table or hold a query, for SQL only; left out, the tables of these names.
    Nothing is connected to or read before it is asked for.
    """
    if "://" in location:
        return SqlSource.at(location, employees=employees or "employees", vendors=vendors or "vendors")
    if employees or vendors:
        raise UnreadableSourceError(
            "MAILCHIMP_PIPELINE_SOURCE names a directory of files, and files have no tables or queries. "
            "Unset MAILCHIMP_PIPELINE_EMPLOYEES and MAILCHIMP_PIPELINE_VENDORS, or set the URL of a database."
        )
    return FileSource(Path(location))
