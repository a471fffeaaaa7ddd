"""Read CSV as text columns. A malformed line raises an error that names the line; no row is left out silently.

A file is read in blocks of about a megabyte, so that selecting a few rows takes little memory.
"""

import csv
import io
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from mailchimp_pipeline.contacts import RELATION_COLUMNS
from mailchimp_pipeline.contacts.text_columns import joined
from mailchimp_pipeline.sources.format import Columns, ContactFilter, Opener, UnreadableSourceError, column_names

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_QUOTE, _COMMA = ord('"'), ord(",")
_EDGES = np.frombuffer(b',\r\n"', dtype=np.uint8)
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_BLOCK = 1024 * 1024
_LONGEST_FIELD = _BLOCK


def read_csv(open_file: Opener, path: Path, keep: ContactFilter | None = None) -> Columns:
    """Return the file's columns that are in `RELATION_COLUMNS`, with unchanged values. `path` is for error messages.

    The file must be in UTF-8, with or without a byte-order mark, and separated by commas. Its first line has the column
    names. `keep` is a contact: then only its rows are returned, and only a few blocks are in memory at a time.
    Raises `UnreadableSourceError` if the file is malformed.
    """
    _require_quotes_in_place(open_file, path)
    header = _header(open_file, path)
    pieces: dict[str, list[pa.StringArray]] = {name: [] for name in header.included}
    try:
        for batch in _batches(open_file, header):
            for name, column in (keep.rows(batch) if keep else batch).items():
                pieces[name].append(column)
    except pa.ArrowInvalid:
        raise _malformed(open_file, path) from None  # Arrow's message quotes the row
    return {name: joined(pa.chunked_array(chunks, pa.string())) for name, chunks in pieces.items()}


def _require_quotes_in_place(open_file: Opener, path: Path) -> None:
    """Raise `UnreadableSourceError` if a quote is not at the start or end of a field.

    Otherwise Arrow would read the rows after an unclosed quote as one long field.
    """
    start, opened = 0, -1
    for piece in _pieces(open_file):
        if b'"' in piece:
            text = np.frombuffer(piece, dtype=np.uint8)
            quotes = np.flatnonzero(text == _QUOTE)
            # Quotes alternate between opening and closing. A doubled quote inside a field closes and opens it.
            within = int(opened >= 0)
            opening, closing = quotes[within::2], quotes[1 - within :: 2]
            before = np.where(opening > 0, text[opening - 1], _COMMA)
            misplaced = [*opening[~np.isin(before, _EDGES)][:1], *closing[~np.isin(text[closing + 1], _EDGES)][:1]]
            if misplaced:
                raise _misplaced_quote(open_file, path, start + int(min(misplaced)))
            is_open = (within + len(quotes)) % 2 == 1
            opened = start + int(opening[-1]) if is_open else -1
        start += len(piece)
    if opened >= 0:
        raise _misplaced_quote(open_file, path, opened)


def _pieces(open_file: Opener) -> Iterator[bytes]:
    """Yield the file in blocks of about a megabyte, each with complete lines, without the byte-order mark."""
    with open_file() as file:
        piece = file.read(_BLOCK).removeprefix(_BYTE_ORDER_MARK) + file.readline()
        while piece:
            yield piece if piece.endswith(b"\n") else piece + b"\n"
            piece = file.read(_BLOCK) + file.readline()


def _misplaced_quote(open_file: Opener, path: Path, position: int) -> UnreadableSourceError:
    """Return the error for a misplaced quote. `position` counts the bytes from the start of the first block."""
    line = b"".join(_pieces(open_file)).count(b"\n", 0, position) + 1
    return UnreadableSourceError(
        f"{path.name}, line {line}, has a quote within a field, or one that is never closed. "
        f'Put fields with commas, quotes or line breaks in quotes, and double the quotes in them ("").',
        place=str(path),
    )


@dataclass(frozen=True, slots=True)
class _Header:
    """The header of a CSV file: all column names, the number of its lines, and whether lines follow it."""

    names: list[str]
    lines: int
    is_followed: bool

    @property
    def included(self) -> list[str]:
        """The names of the columns that are read."""
        return [name for name in self.names if name in RELATION_COLUMNS]


def _header(open_file: Opener, path: Path) -> _Header:
    try:
        with _rows(open_file) as reader:
            header = next((row for row in reader if row), list[str]())
            lines = reader.line_num
            is_followed = next(reader, None) is not None
    except (csv.Error, UnicodeDecodeError):
        raise _malformed(open_file, path) from None
    names = column_names(header, path)
    if "organisation_id" not in names and (other := re.search(r"[;\t|]", ",".join(header))):
        raise UnreadableSourceError(
            f"{path.name} is not separated by commas: its first line has {_SEPARATORS[other[0]]} between the names of "
            "the columns. Export it again with commas.",
            place=str(path),
        )
    return _Header(names, lines, is_followed)


def _batches(open_file: Opener, header: _Header) -> Iterator[Columns]:
    """Yield the columns without rows first, and then with the rows of each block."""
    yield {name: pa.array([], pa.string()) for name in header.included}
    if not header.is_followed:  # Arrow does not skip a header that has no line break
        return
    read_options = arrow_csv.ReadOptions(column_names=header.names, skip_rows=header.lines, block_size=_BLOCK)
    parse_options = arrow_csv.ParseOptions(newlines_in_values=True)
    convert_options = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(header.names, pa.string()),
        include_columns=header.included,
        strings_can_be_null=False,
    )
    with open_file() as file:
        reader: Any = arrow_csv.open_csv(file, read_options, parse_options, convert_options)
        for batch in reader:
            yield {name: batch.column(name) for name in header.included}


def _malformed(open_file: Opener, path: Path) -> UnreadableSourceError:
    """Return the error that names the first malformed line. The file is read again to find the line."""
    with open_file() as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return UnreadableSourceError(
                    f"{path.name}, line {number}, is not UTF-8. Save the file as UTF-8.", place=str(path)
                )
    header, wrong = list[str](), None
    with _rows(open_file) as rows:
        with suppress(csv.Error):  # a field of more than a megabyte
            header = next((row for row in rows if row), header)
            wrong = next((row for row in rows if row and len(row) != len(header)), None)
        line = rows.line_num
    if wrong is None:
        return UnreadableSourceError(f"{path.name} is not a well-formed CSV file. Export it again.", place=str(path))
    return UnreadableSourceError(
        f"{path.name}, line {line}, has {len(wrong)} fields where the header has {len(header)}. "
        f"Put fields with commas in quotes, and see that the export was complete.",
        place=str(path),
    )


class _Rows(Iterator[list[str]]):
    """The type of what `csv.reader` returns, which the standard library does not export."""

    line_num: int


@contextmanager
def _rows(open_file: Opener) -> Generator[_Rows]:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    with io.TextIOWrapper(open_file(), encoding="utf-8-sig", newline="") as text:
        reader: Any = csv.reader(text, strict=True)
        yield reader
