"""Bulk transfer with PostgreSQL's COPY: from a query into a data frame, and from a data frame into a table.

Every column is transferred as text, in CSV. A null is an empty field, and an empty text is a pair of quotes.
"""

import io
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, LiteralString, cast

import pandas as pd
import pyarrow as pa
from psycopg import sql
from pyarrow import csv

from mailchimp_pipeline.contacts import ARROW_STRING
from mailchimp_pipeline.contacts.text_columns import text_column, text_frame
from mailchimp_pipeline.database.session import DriverConnection

_BLOCK_BYTES = 4 * 1024 * 1024
_ROWS_A_PIECE = 50_000


def copy_out(
    connection: DriverConnection,
    query: sql.Composable,
    columns: Sequence[str],
    parameters: Mapping[str, object] | None = None,
) -> Generator[pd.DataFrame]:
    """Yield the query's rows in the query's order, in data frames of about four megabytes.

    The frames have the columns `columns`, all of type `ARROW_STRING`. Without rows, nothing is yielded. The connection
    cannot run another query before the last frame is read. Closing the generator earlier cancels the query and the
    transaction.
    """
    to_stdout = sql.SQL("copy ({}) to stdout (format csv, header)").format(query)
    convert = csv.ConvertOptions(
        column_types={name: pa.string() for name in columns},
        include_columns=list(columns),
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parse = csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    read = csv.ReadOptions(block_size=_BLOCK_BYTES, use_threads=False)
    with (
        connection.cursor() as cursor,
        cursor.copy(to_stdout, parameters) as copy,
        csv.open_csv(_as_file(iter(copy)), read, parse, convert) as reader,
    ):
        batches: Iterator[Any] = iter(reader)
        for batch in batches:
            if batch.num_rows:
                arrays: dict[str, Any] = {name: batch.column(name) for name in columns}
                yield text_frame(arrays)


def copied(
    connection: DriverConnection, query: sql.Composable, columns: Sequence[str], parameters: Mapping[str, object]
) -> pd.DataFrame:
    """Return all rows of the query in one data frame, read with COPY as by `copy_out`."""
    return pd.concat([as_texts((), columns), *copy_out(connection, query, columns, parameters)], ignore_index=True)


def as_texts(rows: Sequence[tuple[object, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows as a data frame. All columns have the type `ARROW_STRING`."""
    return pd.DataFrame(rows, columns=list(columns), dtype=ARROW_STRING)


def copy_in(connection: DriverConnection, table: str, frame: pd.DataFrame) -> None:
    """Append the frame's rows to the table. The frame's columns have the names of table columns.

    Values are sent as text, missing values as null.
    """
    columns = [str(name) for name in frame.columns]
    schema = pa.schema([(name, pa.string()) for name in columns])
    written = csv.WriteOptions(include_header=False, quoting_style="all_valid")
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, len(frame), _ROWS_A_PIECE):
            piece = pa.Table.from_pandas(frame.iloc[start : start + _ROWS_A_PIECE], schema, preserve_index=False)
            block = pa.BufferOutputStream()
            csv.write_csv(piece, block, written)
            copy.write(block.getvalue().to_pybytes())


def _as_file(sent: Iterator[bytes | bytearray | memoryview]) -> IO[bytes]:
    return cast("IO[bytes]", _Blocks(sent))


class _Blocks(io.RawIOBase):
    """A readable file over the output of COPY. It joins the single rows that psycopg returns into larger blocks."""

    def __init__(self, sent: Iterator[bytes | bytearray | memoryview]) -> None:
        self._sent = sent
        self._left = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        parts, length = [self._left], len(self._left)
        for part in self._sent:
            parts.append(bytes(part))
            length += len(parts[-1])
            if 0 <= size <= length:
                break
        together = b"".join(parts)
        block, self._left = (together, b"") if size < 0 else (together[:size], together[size:])
        return block


def text_array(values: Iterable[str | None]) -> str:
    """Return the values as a PostgreSQL array literal. None becomes `NULL`.

    For large arrays, this is ten times as fast as psycopg's conversion.
    """
    values = list(values)
    texts = [value for value in values if value is not None]
    plain = "".join(texts)
    if values and len(texts) == len(values) and '"' not in plain and "\\" not in plain:
        return '{"' + '","'.join(texts) + '"}'
    return "{" + ",".join("NULL" if value is None else f'"{_escaped(value)}"' for value in values) + "}"


def contact_arrays(contacts: pd.DataFrame) -> dict[str, str]:
    """Return the contacts as query parameters: the arrays `keys` (subscriber hashes), `entity_types`, `entity_ids`."""
    columns = {"keys": "subscriber_hash", "entity_types": "entity_type", "entity_ids": "entity_id"}
    return {name: text_array(text_column(contacts[column]).to_pylist()) for name, column in columns.items()}


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


def counted(connection: DriverConnection, query: LiteralString | sql.SQL, parameters: Mapping[str, object]) -> int:
    """Return the integer that a counting query selects. Raises `TypeError` if the first value is no integer."""
    row = connection.execute(query, parameters).fetchone()
    if row is None or not isinstance(row[0], int):
        raise TypeError("the query counts nothing")
    return row[0]
