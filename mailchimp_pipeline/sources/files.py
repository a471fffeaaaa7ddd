"""A source of files: one CSV or Parquet file for each relation. A file is read once for all organisations."""

import hashlib
import stat
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock

import pandas as pd

from mailchimp_pipeline.contacts import EntityType, MissingColumnError, RelationVersion
from mailchimp_pipeline.contacts.text_columns import normalised, normalised_column, pc, text_frame
from mailchimp_pipeline.sources.csv_format import read_csv
from mailchimp_pipeline.sources.format import Columns, ContactFilter, SourceChangedError, UnreadableSourceError
from mailchimp_pipeline.sources.parquet_format import read_parquet

_FORMATS = {".csv": read_csv, ".parquet": read_parquet}


@dataclass(frozen=True, slots=True)
class Stamp:
    """The properties of a file by which a rewritten or replaced file is noticed."""

    modified_ns: int
    size: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        """Return the file's stamp."""
        status = path.stat()
        return cls(modified_ns=status.st_mtime_ns, size=status.st_size, inode=status.st_ino)


@dataclass(frozen=True, slots=True)
class Quiet:
    """For how long a file must be unchanged before it is read. Times are in seconds.

    Without this, a file that is still being written would look complete. `patience` is the longest wait for such a
    file.
    """

    seconds: float = 3.0
    patience: float = 20.0
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def missing_seconds(self, stamp: Stamp) -> float:
        """Return how many more seconds the file has to stay unchanged, 0 if it can be read.

        A time of change in the future counts as now.
        """
        age = self.now() - stamp.modified_ns / 1e9
        return self.seconds if age < 0 else max(0.0, self.seconds - age)


@dataclass(frozen=True, slots=True)
class _Content:
    """The content of a file: its columns by name, its number of rows and a digest of its bytes."""

    stamp: Stamp
    columns: Columns
    version: RelationVersion


class FileSource:
    """A directory with `employees.csv` or `employees.parquet`, and `vendors.csv` or `vendors.parquet`.

    The content of a file stays in memory and is read again when the file changes.
    """

    def __init__(self, directory: Path, stamp: Callable[[Path], Stamp] = Stamp.of, quiet: Quiet | None = None) -> None:
        self._directory = directory
        self._stamp = stamp
        self._quiet = quiet or Quiet()
        self._contents: dict[Path, _Content] = {}
        self._reading = Lock()

    def read(self, relation: EntityType, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows in the relation's file."""
        columns = self._content(relation).columns
        rows = pc.equal(columns["organisation_id"], normalised(organisation_id))
        return text_frame({name: pc.filter(column, rows) for name, column in columns.items()})

    def find(self, relation: EntityType, organisation_id: str, entity_id: str) -> pd.DataFrame:
        """Return the contact's rows.

        If the file's content is not in memory, the file is read for these rows only and its content is not kept.
        """
        path, keep = self._path(relation), ContactFilter(relation, organisation_id, entity_id)
        with _read_from(path, path.name):
            known = self._contents.get(path)
            if known is not None and known.stamp == self._stamp(path):
                return text_frame(keep.rows(known.columns))
            with self._undisturbed(path):
                return text_frame(_parsed(path, keep))

    def describe(self, relation: EntityType) -> RelationVersion:
        """Return the number of rows of the relation's file, and a digest of its bytes as the version."""
        return self._content(relation).version

    def _content(self, relation: EntityType) -> _Content:
        path = self._path(relation)
        with self._reading, _read_from(path, path.name):
            known = self._contents.get(path)
            if known is None or known.stamp != self._stamp(path):
                known = self._contents[path] = self._read_whole(path, relation)
            return known

    def _path(self, relation: EntityType) -> Path:
        """Return the path of the relation's file. Raises `UnreadableSourceError` if there is none, or more than one."""
        wanted = [self._directory / f"{relation.relation}{suffix}" for suffix in _FORMATS]
        with _read_from(self._directory, "The source's directory"):
            found = [path for path in wanted if _is_file(path)]
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
        with self._undisturbed(path) as stamp:
            columns = _parsed(path)
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=16)).hexdigest()
        if "organisation_id" not in columns:
            raise MissingColumnError(relation.relation, "organisation_id")
        columns = {**columns, "organisation_id": normalised_column(columns["organisation_id"])}
        return _Content(stamp, columns, RelationVersion(rows=len(columns["organisation_id"]), version=digest))

    @contextmanager
    def _undisturbed(self, path: Path) -> Generator[Stamp]:
        """Yield the file's stamp, and let the block read the file.

        Raises `SourceChangedError` if the file is still being written before the block, or has changed after it.
        """
        before = self._settled(path)
        try:
            yield before
        except UnreadableSourceError:
            if self._stamp(path) != before:
                raise _rewritten(path) from None
            raise
        if self._stamp(path) != before:
            raise _rewritten(path)

    def _settled(self, path: Path) -> Stamp:
        """Wait until the file has been unchanged for long enough, and return its stamp.

        Raises `SourceChangedError` if this would take longer than `Quiet.patience`.
        """
        stamp, watched = self._stamp(path), 0.0
        lacking = self._quiet.missing_seconds(stamp)
        while lacking:
            if watched + lacking > self._quiet.patience:
                raise _changed(path, f"still being written after {watched:.0f} s")
            self._quiet.sleep(lacking)
            watched += lacking
            before, stamp = stamp, self._stamp(path)
            lacking = 0.0 if stamp == before else self._quiet.seconds
        return stamp


def _parsed(path: Path, keep: ContactFilter | None = None) -> Columns:
    return _FORMATS[path.suffix](partial(path.open, "rb"), path, keep)


@contextmanager
def _read_from(path: Path, what: str) -> Generator[None]:
    """Raise `UnreadableSourceError` for an `OSError` in the block. `what` is the subject of the error's text."""
    try:
        yield
    except OSError as error:
        raise UnreadableSourceError(
            f"{what} cannot be read ({type(error).__name__}). Let the pipeline's user read it and pass through the "
            f"directories above it; and replace a file by renaming another, so that it is there at all times.",
            place=str(path),
        ) from None


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _rewritten(path: Path) -> SourceChangedError:
    return _changed(path, "rewritten while it was read")


def _changed(path: Path, how: str) -> SourceChangedError:
    return SourceChangedError(
        f"The file {path.name} was {how}. Try again once it is complete; best write it under another name, and rename "
        f"it when it is.",
        place=str(path),
    )
