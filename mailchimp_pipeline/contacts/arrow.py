"""Text columns in Arrow, and their conversion to and from DataFrames.

What does not belong here: the meaning of columns (`relations`).
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute

ARROW_STRING = pd.ArrowDtype(pa.string())
"""The dtype of every column of rows and contacts: text or `pd.NA`, transferred to PostgreSQL without a copy."""

# The published stubs lack most overloads of the compute functions, so results are annotated.
pc: Any = pyarrow.compute

_AT_ONCE = 20_000

NO_TEXT = pa.scalar(None, pa.string())


def text_column(values: "pd.Series[Any]") -> pa.StringArray:
    """Return a text column of any dtype as one Arrow array. Missing values become null."""
    array: Any = pa.array(values, from_pandas=True)
    return joined(pc.cast(array, pa.string()))


def joined(column: Any) -> pa.StringArray:  # noqa: ANN401  # an Array or a ChunkedArray of text
    """Return a column in one or several chunks as one array."""
    chunked: bool = hasattr(column, "combine_chunks")
    return column.combine_chunks() if chunked else column


def text_by_text(function: Callable[[str], str | None], texts: pa.StringArray) -> pa.StringArray:
    """Return the function's result for each text. Works in pieces, because each Python string takes 100 bytes."""
    results: list[pa.StringArray] = []
    for start in range(0, len(texts), _AT_ONCE):
        piece: Any = texts.slice(start, _AT_ONCE).to_pylist()
        results.append(pa.array([function(text) for text in piece], pa.string()))
    return joined(pa.chunked_array(results, pa.string()))


def each_once(function: Callable[[str], str | None], texts: pa.StringArray) -> pa.StringArray:
    """Return the function's result for each text, with one call for each distinct text. Null stays null."""
    encoded = pc.dictionary_encode(texts)
    return text_by_text(function, encoded.dictionary).take(encoded.indices)


def give_back_memory() -> None:
    """Return Arrow's unused memory to the system, which halves the memory after a large step."""
    pa.default_memory_pool().release_unused()


def _as_arrow_string(_: pa.DataType) -> pd.ArrowDtype:
    return ARROW_STRING


def text_frame(columns: Mapping[str, pa.StringArray]) -> pd.DataFrame:
    """Return the columns as a frame of `ARROW_STRING`."""
    table: Any = pa.table(dict(columns))
    return table.to_pandas(types_mapper=_as_arrow_string)
