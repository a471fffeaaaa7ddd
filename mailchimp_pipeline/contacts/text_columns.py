"""Text columns in Arrow, their conversion to and from DataFrames, and normalised text.

Exports from HR systems and spreadsheets have non-breaking spaces, full-width letters and invisible characters. Ids,
headers and filter values are therefore compared in a normalised form, which is the same for texts that look alike.
"""

import re
import unicodedata
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
    """Return a column as one array. The column may be an array already, or be divided into chunks."""
    chunked: bool = hasattr(column, "combine_chunks")
    return column.combine_chunks() if chunked else column


def text_by_text(function: Callable[[str], str | None], texts: pa.StringArray) -> pa.StringArray:
    """Return the function's result for each text. Some texts at a time, because each Python string takes 100 bytes."""
    results: list[pa.StringArray] = []
    for start in range(0, len(texts), _AT_ONCE):
        piece: Any = texts.slice(start, _AT_ONCE).to_pylist()
        results.append(pa.array([function(text) for text in piece], pa.string()))
    return joined(pa.chunked_array(results, pa.string()))


def map_distinct(function: Callable[[str], str | None], texts: pa.StringArray) -> pa.StringArray:
    """Return the function's result for each text, with one call for each distinct text. Null stays null."""
    encoded = pc.dictionary_encode(texts)
    return text_by_text(function, encoded.dictionary).take(encoded.indices)


def release_memory() -> None:
    """Return Arrow's unused memory to the system. After a large step this halves the memory of the process."""
    pa.default_memory_pool().release_unused()


def _as_arrow_string(_: pa.DataType) -> pd.ArrowDtype:
    return ARROW_STRING


def text_frame(columns: Mapping[str, pa.StringArray]) -> pd.DataFrame:
    """Return the columns as a frame of `ARROW_STRING`."""
    table: Any = pa.table(dict(columns))
    return table.to_pandas(types_mapper=_as_arrow_string)


_IGNORABLE = (
    r"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f"  # control characters that are no blanks
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Invisible characters: control characters, and Unicode's `Default_Ignorable_Code_Point`."""

_INVISIBLE = re.compile(f"[{_IGNORABLE}]")

_BLANKS = "".join(character for character in map(chr, range(0x10000)) if character.isspace())
_AT_ENDS = _BLANKS + "".join(character for character in map(chr, range(0x10000)) if _INVISIBLE.match(character))

# Nearly all ids and values are normalised already, and this expression finds the others.
_NORMALISED_ASCII = r"^[!-~]+( [!-~]+)*$"


def normalised(text: str) -> str:
    """Return the text in NFKC, without invisible characters, with single blanks between words and none at the ends."""
    composed = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))
    return " ".join(composed.split())


def normalised_column(texts: pa.StringArray) -> pa.StringArray:
    """Return each text as `normalised`. Null stays null."""
    as_is = pc.match_substring_regex(texts, _NORMALISED_ASCII)
    if pc.all(as_is, skip_nulls=True).as_py():
        return texts
    return pc.if_else(as_is, texts, map_distinct(normalised, pc.if_else(as_is, NO_TEXT, texts)))


def trimmed_column(texts: pa.StringArray) -> pa.StringArray:
    """Return the texts without blanks and invisible characters at their ends, null if nothing is left.

    This is for text that is sent and not compared, such as names. Inside a text, only NUL characters are removed, which
    PostgreSQL cannot store.
    """
    trimmed = pc.utf8_trim(pc.replace_substring(texts, "\0", ""), characters=_AT_ENDS)
    return pc.if_else(pc.equal(trimmed, ""), NO_TEXT, trimmed)


def same_text(texts: pa.StringArray, wanted: str) -> pa.BooleanArray:
    """Return for each text whether it equals `wanted`, both normalised. Null does not equal it."""
    return pc.fill_null(pc.equal(normalised_column(texts), normalised(wanted)), fill_value=False)
