"""Parquet as columns of text.

What does not belong here: which file is read, and when (`files`).
"""

from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from mailchimp_pipeline.contacts import RELATION_COLUMNS
from mailchimp_pipeline.contacts.arrow import joined, pc
from mailchimp_pipeline.sources.errors import UnreadableSourceError
from mailchimp_pipeline.sources.header import column_names


def read_parquet(data: bytes, path: Path) -> dict[str, pa.StringArray]:
    """Return those of `RELATION_COLUMNS` there are, as text; `path` is for messages."""
    try:
        file: Any = parquet.ParquetFile(pa.BufferReader(data))
        stored: list[str] = file.schema_arrow.names
        theirs = dict(zip(column_names(stored, path), stored, strict=True))
        included = {name: theirs[name] for name in theirs if name in RELATION_COLUMNS}
        table = file.read(columns=list(included.values()))
    except (pa.ArrowException, OSError):
        raise UnreadableSourceError(
            f"{path.name} is not a readable Parquet file. Export it again.", place=str(path)
        ) from None
    return {name: _as_text(table.column(stored_name), name, path) for name, stored_name in included.items()}


def _as_text(column: Any, name: str, path: Path) -> pa.StringArray:  # noqa: ANN401  # Arrow of any type
    try:
        return joined(pc.cast(_as_whole_numbers(column), pa.string()))
    except pa.ArrowException:
        raise UnreadableSourceError(
            f"The column '{name}' of {path.name} holds {column.type}, which has no text form. Write it as text.",
            place=str(path),
        ) from None


def _as_whole_numbers(column: Any) -> Any:  # noqa: ANN401  # Arrow of any type
    """Return numbers without the fraction they have by their type alone, where all are whole: ids, and 7 is not 7.0.

    pandas has floats where one is missing, databases have decimals.
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
