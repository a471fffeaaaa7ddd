"""A directory of files as a source: one CSV or Parquet file a relation, read once for all organisations.

What does not belong here: the formats themselves (`csv_format`, `parquet_format`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import pandas as pd
import pyarrow as pa

from mailchimp_pipeline.contacts import EntityType, MissingColumnError, RelationVersion
from mailchimp_pipeline.contacts.arrow import pc, text_frame
from mailchimp_pipeline.sources.csv_format import read_csv
from mailchimp_pipeline.sources.errors import SourceChangedError, UnreadableSourceError
from mailchimp_pipeline.sources.parquet_format import read_parquet

_FORMATS = {".csv": read_csv, ".parquet": read_parquet}


@dataclass(frozen=True, slots=True)
class Stamp:
    """What of a file changes when it is rewritten, replaced by another included."""

    modified_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the file's stamp."""
        status = path.stat()
        return cls(modified_ns=status.st_mtime_ns, size=status.st_size, inode=status.st_ino)


@dataclass(frozen=True, slots=True)
class _Content:
    """A file as it was read: the columns by name, and the digest of its bytes."""

    stamp: Stamp
    columns: dict[str, pa.StringArray]
    version: RelationVersion


class FileSource:
    """The relations as `employees.csv` or `employees.parquet`, and `vendors` likewise, in one directory."""

    def __init__(self, directory: Path, stamp: Callable[[Path], Stamp] = Stamp.of) -> None:
        self._directory = directory
        self._stamp = stamp
        self._contents: dict[Path, _Content] = {}
        self._reading = Lock()

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows of the relation's file."""
        columns = self._content(relation).columns
        rows = pc.equal(columns["organisation_id"], organisation_id)
        return text_frame({name: pc.filter(column, rows) for name, column in columns.items()})

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows in the relation's file, and the digest of its bytes."""
        return self._content(relation).version

    def _content(self, relation: EntityType) -> _Content:
        path = self._path(relation)
        with self._reading:
            known = self._contents.get(path)
            if known is None or known.stamp != self._stamp(path):
                known = self._contents[path] = self._read_whole(path, relation)
            return known

    def _path(self, relation: EntityType) -> Path:
        """Return the relation's one file."""
        wanted = [self._directory / f"{relation.relation}{suffix}" for suffix in _FORMATS]
        found = [path for path in wanted if path.is_file()]
        if not found:
            raise UnreadableSourceError(
                f"There is no {wanted[0].name} or {wanted[1].name} in the source's directory. "
                f"Put one there, with a header alone if there are no {relation.relation}.",
                place=str(self._directory),
            )
        if len(found) > 1:
            raise UnreadableSourceError(
                f"Both {wanted[0].name} and {wanted[1].name} are in the source's directory, and either could be the "
                f"newer one. Take one of them away.",
                place=str(self._directory),
            )
        return found[0]

    def _read_whole(self, path: Path, relation: EntityType) -> _Content:
        before = self._stamp(path)
        data = self._bytes(path)
        if self._stamp(path) != before:
            raise SourceChangedError(
                f"The file {path.name} was rewritten while it was read. Try again once it is complete; "
                f"best write it under another name, and rename it when it is.",
                place=str(path),
            )
        columns = _FORMATS[path.suffix](data, path)
        if "organisation_id" not in columns:
            raise MissingColumnError(relation.relation, "organisation_id")
        columns["organisation_id"] = pc.utf8_trim_whitespace(columns["organisation_id"])
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        return _Content(before, columns, RelationVersion(rows=len(columns["organisation_id"]), version=digest))

    @staticmethod
    def _bytes(path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnreadableSourceError(
                f"The file {path.name} cannot be read ({type(error).__name__}). Let the pipeline's user read it.",
                place=str(path),
            ) from None
