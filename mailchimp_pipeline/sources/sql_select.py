"""Rows by SELECT, from any database that SQLAlchemy has a driver for; each value as the database writes it as text.

What does not belong here: PostgreSQL (`sql_copy`).
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import sqlalchemy as sa

from mailchimp_pipeline.contacts import ARROW_STRING, RelationVersion
from mailchimp_pipeline.sources.sql_relation import SqlRelation

_TEXT = sa.Unicode(2000)
"""Text in every dialect: some cast to no other, and some to none without a length."""

_ROWS_A_PIECE = 50_000


class SelectTransport:
    """Rows by `pandas.read_sql`. The text form is the database's: the drivers' numbers would make 7 into 7.0."""

    def rows(self, connection: sa.Connection, relation: SqlRelation, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows."""
        organisation: sa.ColumnElement[str] = sa.column(relation.columns["organisation_id"])
        statement = _select(relation).where(organisation == organisation_id)
        return pd.read_sql_query(statement, connection).astype(ARROW_STRING)

    def version(self, connection: sa.Connection, relation: SqlRelation) -> RelationVersion:
        """Return the number of rows, and the sum of their hashes, which their order does not change."""
        rows, total = 0, 0
        for piece in _pieces(connection, relation):
            hashes: Any = pd.util.hash_pandas_object(piece.astype("str"), index=False)
            rows += len(piece)
            total += int(hashes.sum())
        return RelationVersion(rows=rows, version=f"{total % 2**64:016x}")


def _pieces(connection: sa.Connection, relation: SqlRelation) -> Iterator[pd.DataFrame]:
    streaming = connection.execution_options(stream_results=True)
    return pd.read_sql_query(_select(relation), streaming, chunksize=_ROWS_A_PIECE)


def _select(relation: SqlRelation) -> "sa.Select[*tuple[Any, ...]]":
    columns = [sa.cast(sa.column(theirs), _TEXT).label(ours) for ours, theirs in relation.columns.items()]
    return sa.select(*columns).select_from(relation.from_clause)
