"""CSV as columns of text, strictly: what is not well-formed is an error that names the line, never a row less.

What does not belong here: which file is read, and when (`files`).
"""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from mailchimp_pipeline.contacts import RELATION_COLUMNS
from mailchimp_pipeline.contacts.arrow import joined
from mailchimp_pipeline.sources.errors import UnreadableSourceError
from mailchimp_pipeline.sources.header import column_names

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_QUOTE, _COMMA = ord('"'), ord(",")
_EDGES = np.frombuffer(b',\r\n"', dtype=np.uint8)
_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_LONGEST_FIELD = 1024 * 1024


def read_csv(data: bytes, path: Path) -> dict[str, pa.StringArray]:
    """Return those of `RELATION_COLUMNS` there are, every value as it is written; `path` is for messages.

    UTF-8, with or without a byte-order mark; separated by commas; the first line names the columns.
    """
    data = data.removeprefix(_BYTE_ORDER_MARK)
    if not data.endswith(b"\n"):
        data += b"\n"
    _require_quotes_in_place(data, path)
    names, lines = _header(data, path)
    included = [name for name in names if name in RELATION_COLUMNS]
    try:
        table = _parsed(data, names, included, header_lines=lines)
    except pa.ArrowInvalid:
        raise _malformed(data, path) from None  # Arrow's message quotes the row
    return {name: joined(table.column(name)) for name in included}


def _require_quotes_in_place(data: bytes, path: Path) -> None:
    """Raise an error if a field does not begin or end where its quotes do.

    Arrow takes a quote that is never closed for one long field, and swallows the rows in it.
    """
    if b'"' not in data:
        return
    text = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    # Each opens or closes in turn; a doubled one within a field closes it and opens it again at once.
    opening, closing = quotes[::2], quotes[1::2]
    before = np.where(opening > 0, text[opening - 1], _COMMA)
    misplaced = [*opening[~np.isin(before, _EDGES)][:1], *closing[~np.isin(text[closing + 1], _EDGES)][:1]]
    if len(opening) > len(closing):
        misplaced.append(opening[-1])
    if misplaced:
        line = data.count(b"\n", 0, int(min(misplaced))) + 1
        raise UnreadableSourceError(
            f"{path.name}, line {line}, has a quote within a field, or one that is never closed. "
            f'Put fields with commas, quotes or line breaks in quotes, and double the quotes in them ("").',
            place=str(path),
        )


def _header(data: bytes, path: Path) -> tuple[list[str], int]:
    """Return the names of the columns, and how many lines they take up."""
    reader = _rows(data)
    try:
        header = next((row for row in reader if row), list[str]())
    except (csv.Error, UnicodeDecodeError):
        raise _malformed(data, path) from None
    names = column_names(header, path)
    if "organisation_id" not in names and (other := re.search(r"[;\t|]", ",".join(names))):
        raise UnreadableSourceError(
            f"{path.name} is not separated by commas: its first line has {_SEPARATORS[other[0]]} between the names of "
            "the columns. Export it again with commas.",
            place=str(path),
        )
    return names, reader.line_num


def _parsed(data: bytes, names: list[str], included: list[str], *, header_lines: int) -> Any:  # noqa: ANN401 - Arrow
    read_options = arrow_csv.ReadOptions(column_names=names, skip_rows=header_lines)
    parse_options = arrow_csv.ParseOptions(newlines_in_values=True)
    convert_options = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), include_columns=included, strings_can_be_null=False
    )
    whole: Any = pa.BufferReader(data)
    return arrow_csv.read_csv(whole, read_options, parse_options, convert_options)


def _malformed(data: bytes, path: Path) -> UnreadableSourceError:
    """Return the error that names the first line that is wrong, found by reading once more, slowly."""
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            line.decode()
        except UnicodeDecodeError:
            return UnreadableSourceError(
                f"{path.name}, line {number}, is not UTF-8. Save the file as UTF-8.", place=str(path)
            )
    rows = _rows(data)
    header, wrong = list[str](), None
    with suppress(csv.Error):  # a field of more than a megabyte
        header = next((row for row in rows if row), header)
        wrong = next((row for row in rows if row and len(row) != len(header)), None)
    if wrong is None:
        return UnreadableSourceError(f"{path.name} is not a well-formed CSV file. Export it again.", place=str(path))
    return UnreadableSourceError(
        f"{path.name}, line {rows.line_num}, has {len(wrong)} fields where the header has {len(header)}. "
        f"Put fields with commas in quotes, and see that the export was complete.",
        place=str(path),
    )


class _Rows(Iterator[list[str]]):
    """What `csv.reader` returns, which has no public type."""

    line_num: int


def _rows(data: bytes) -> _Rows:
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_FIELD))
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", newline="")
    reader: Any = csv.reader(text, strict=True)
    return reader
