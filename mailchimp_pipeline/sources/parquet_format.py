"""Read Parquet as text columns."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from mailchimp_pipeline.contacts import RELATION_COLUMNS
from mailchimp_pipeline.contacts.text_columns import joined, pc
from mailchimp_pipeline.sources.format import Columns, ContactFilter, Opener, UnreadableSourceError, column_names


def read_parquet(open_file: Opener, path: Path, keep: ContactFilter | None = None) -> Columns:
    """Return the file's columns that are in `RELATION_COLUMNS`, as text. `path` is for error messages.

    With `keep`, only the rows of that contact are returned, and one column at a time is in memory. Row-group statistics
    are not used, because the file may have the id in another spelling. Raises `UnreadableSourceError` if the file is
    not valid Parquet or a column has no text form.
    """
    with open_file() as opened:
        try:
            file: Any = parquet.ParquetFile(opened)
            stored: list[str] = file.schema_arrow.names
            theirs = dict(zip(column_names(stored, path), stored, strict=True))
            included = {name: theirs[name] for name in theirs if name in RELATION_COLUMNS}
            if keep is None:
                table = file.read(columns=list(included.values()))
                return {name: _as_text(table.column(stored), name, path) for name, stored in included.items()}
            return _rows(file, included, keep, path)
        except (pa.ArrowException, OSError):
            raise UnreadableSourceError(
                f"{path.name} is not a readable Parquet file. Export it again.", place=str(path)
            ) from None


def _rows(file: Any, included: Mapping[str, str], keep: ContactFilter, path: Path) -> Columns:  # noqa: ANN401 - Arrow
    def column(name: str) -> pa.StringArray:
        return _as_text(file.read(columns=[included[name]]).column(0), name, path)

    mask = keep.mask({name: column(name) for name in keep.COLUMNS if name in included})
    if not pc.any(mask).as_py():
        return {name: pa.array([], pa.string()) for name in included}
    return {name: pc.filter(column(name), mask) for name in included}


def _as_text(column: Any, name: str, path: Path) -> pa.StringArray:  # noqa: ANN401  # Arrow of any type
    try:
        return joined(pc.cast(_as_whole_numbers(column), pa.string()))
    except pa.ArrowException:
        raise UnreadableSourceError(
            f"The column '{name}' of {path.name} holds {column.type}, which has no text form. Write it as text.",
            place=str(path),
        ) from None


def _as_whole_numbers(column: Any) -> Any:  # noqa: ANN401  # Arrow of any type
    """Return a column of whole numbers without fractions (7 instead of 7.0), as ids need it.

    pandas stores numbers as floats if values are missing, and databases store them as decimals. Other columns, and
    numbers with fractions, stay the same.
    """
    if pa.types.is_decimal(column.type):
        numbers, whole = column, pa.decimal256(76, 0)
    elif pa.types.is_floating(column.type):
        numbers, whole = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column), pa.int64()
    else:
        return column
    try:
        return pc.cast(numbers, whole)
    except pa.ArrowInvalid:
        return numbers
