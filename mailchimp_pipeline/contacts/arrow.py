"""Columns of text in Arrow, the one form of rows and contacts, and the way between them and a DataFrame.

What does not belong here: what the columns mean (`relations`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute

ARROW_STRING = pd.ArrowDtype(pa.string())
"""The dtype of every column of rows and contacts: text or `pd.NA`, handed to PostgreSQL and back without a copy."""

# The published stubs know few of the overloads of compute functions; their result is annotated where it is used.
pc: Any = pyarrow.compute

_AT_ONCE = 20_000

NO_TEXT = pa.scalar(None, pa.string())


def text_column(values: "pd.Series[Any]") -> pa.StringArray:
    """Return a column of text, whatever its dtype is called, as one Arrow array; what is missing is null."""
    array: Any = pa.array(values, from_pandas=True)
    return joined(pc.cast(array, pa.string()))


def joined(column: Any) -> pa.StringArray:  # noqa: ANN401  # an Array or a ChunkedArray of text
    """Return a column, of however many chunks, as one array."""
    chunked: bool = hasattr(column, "combine_chunks")
    return column.combine_chunks() if chunked else column


def text_by_text(function: Callable[[str], str | None], texts: pa.StringArray) -> pa.StringArray:
    """Return the function of each text. Never more than some thousand are Python's at once: each takes 100 bytes."""
    results: list[pa.StringArray] = []
    for start in range(0, len(texts), _AT_ONCE):
        piece: Any = texts.slice(start, _AT_ONCE).to_pylist()
        results.append(pa.array([function(text) for text in piece], pa.string()))
    return joined(pa.chunked_array(results, pa.string()))


def each_once(function: Callable[[str], str | None], texts: pa.StringArray) -> pa.StringArray:
    """Return the function of each text, called once for each distinct one; null stays null."""
    encoded = pc.dictionary_encode(texts)
    return text_by_text(function, encoded.dictionary).take(encoded.indices)


def give_back_memory() -> None:
    """Give the system back what Arrow keeps of what was freed: after a large step it would be as much again."""
    pa.default_memory_pool().release_unused()


def _as_arrow_string(_: pa.DataType) -> pd.ArrowDtype:
    return ARROW_STRING


def text_frame(columns: Mapping[str, pa.StringArray]) -> pd.DataFrame:
    """Return the columns as a frame of `ARROW_STRING`."""
    table: Any = pa.table(dict(columns))
    return table.to_pandas(types_mapper=_as_arrow_string)
