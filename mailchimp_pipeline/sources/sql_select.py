"""Read rows by SELECT from any database with an SQLAlchemy driver. The database converts each value to text.

What does not belong here: PostgreSQL (`sql_copy`).
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy import exc

from mailchimp_pipeline.contacts import ARROW_STRING, RelationVersion
from mailchimp_pipeline.sources.sql_relation import SqlRelation

_TEXT = sa.Unicode(2000)
"""A text type that every dialect can cast to. Some require Unicode, and some a length."""

_ROWS_A_PIECE = 50_000


class SelectTransport:
    """Reads rows by `pandas.read_sql`. The database converts values to text, because drivers would turn 7 into 7.0."""

    def rows(self, connection: sa.Connection, relation: SqlRelation, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows."""
        return pd.read_sql_query(_rows_of(relation, organisation_id), connection).astype(ARROW_STRING)

    def find(
        self, connection: sa.Connection, relation: SqlRelation, organisation_id: str, entity_id: str, *, trimmed: bool
    ) -> pd.DataFrame:
        """Return the organisation's rows with this id."""
        stored: sa.ColumnElement[str] = sa.column(relation.columns["id"])
        statement = _rows_of(relation, organisation_id)
        if trimmed:
            trimmed_id = sa.func.trim(sa.cast(stored, _TEXT))
            return pd.read_sql_query(statement.where(trimmed_id == entity_id), connection).astype(ARROW_STRING)
        try:
            return pd.read_sql_query(statement.where(stored == entity_id), connection).astype(ARROW_STRING)
        except exc.DBAPIError as error:
            if error.connection_invalidated:
                raise
            # Ids in this database are numbers, and this id is none. The trimmed search reports any other problem.
            return pd.DataFrame(columns=list(relation.columns), dtype=ARROW_STRING)

    def version(self, connection: sa.Connection, relation: SqlRelation) -> RelationVersion:
        """Return the number of rows, and the sum of their hashes, which does not depend on their order."""
        rows, total = 0, 0
        for piece in _pieces(connection, relation):
            hashes: Any = pd.util.hash_pandas_object(piece.astype("str"), index=False)
            rows += len(piece)
            total += int(hashes.sum())
        return RelationVersion(rows=rows, version=f"{total % 2**64:016x}")


def _pieces(connection: sa.Connection, relation: SqlRelation) -> Iterator[pd.DataFrame]:
    streaming = connection.execution_options(stream_results=True)
    return pd.read_sql_query(_select(relation), streaming, chunksize=_ROWS_A_PIECE)


def _rows_of(relation: SqlRelation, organisation_id: str) -> "sa.Select[*tuple[Any, ...]]":
    organisation: sa.ColumnElement[str] = sa.column(relation.columns["organisation_id"])
    return _select(relation).where(organisation == organisation_id)


def _select(relation: SqlRelation) -> "sa.Select[*tuple[Any, ...]]":
    columns = [sa.cast(sa.column(theirs), _TEXT).label(ours) for ours, theirs in relation.columns.items()]
    return sa.select(*columns).select_from(relation.from_clause)
