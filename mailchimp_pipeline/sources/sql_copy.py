"""Rows of a PostgreSQL database by COPY, which takes a quarter of the time of a SELECT and half the memory.

What does not belong here: any other database (`sql_select`).
"""

from typing import Any

import pandas as pd
import psycopg
import sqlalchemy as sa
from psycopg import sql

from mailchimp_pipeline.contacts import ARROW_STRING, RelationVersion
from mailchimp_pipeline.database.bulk import copy_out
from mailchimp_pipeline.sources.sql_relation import SqlRelation, as_subquery, table_path


class CopyTransport:
    """Rows by COPY TO STDOUT. It takes no parameters: what is compared is quoted by the driver."""

    def rows(self, connection: sa.Connection, relation: SqlRelation, organisation_id: str) -> pd.DataFrame:
        """Return the organisation's rows.

        The organisation stands as a literal without a type, so that an index on the column serves, whatever its type.
        """
        query = _select(relation, sql.Literal(organisation_id))
        pieces = copy_out(_driver_connection(connection), query, list(relation.columns))
        return pd.concat([_nothing(relation), *pieces], ignore_index=True)

    def find(
        self, connection: sa.Connection, relation: SqlRelation, organisation_id: str, entity_id: str, *, trimmed: bool
    ) -> pd.DataFrame:
        """Return the organisation's rows with this id, by SELECT: an id is a parameter, in no statement's text.

        A cast to text does not keep PostgreSQL from using an index on a column of text, and it never fails.
        """
        stored = sql.SQL("btrim({}::text)" if trimmed else "{}::text").format(_name(relation.columns["id"]))
        query = sql.SQL("{} AND {} = %s").format(_select(relation, sql.Placeholder()), stored)
        result = _driver_connection(connection).execute(query, [organisation_id, entity_id]).pgresult
        if result is None or not result.ntuples:
            return _nothing(relation)
        # The values as the server wrote them, as COPY has them: the driver would make numbers and dates of them.
        texts = {
            name: [_text(result.get_value(row, column)) for row in range(result.ntuples)]
            for column, name in enumerate(relation.columns)
        }
        return pd.DataFrame(texts, dtype=ARROW_STRING)

    def version(self, connection: sa.Connection, relation: SqlRelation) -> RelationVersion:
        """Return the number of rows, and the sum of their hashes, which their order does not change."""
        texts = [sql.SQL("{}::text").format(_name(theirs)) for theirs in relation.columns.values()]
        query = sql.SQL(
            "SELECT count(*), coalesce(sum(hashtextextended(row({texts})::text, 0)::numeric), 0) FROM {relation}"
        ).format(texts=sql.SQL(", ").join(texts), relation=_from_clause(relation))
        rows, total = _driver_connection(connection).execute(query).fetchone() or (0, 0)
        return RelationVersion(rows=rows, version=f"{int(total) % 2**64:016x}")


def _select(relation: SqlRelation, organisation: sql.Composable) -> sql.Composed:
    """Return the query for our columns of the rows of an organisation, which is a literal or a placeholder."""
    columns = [sql.SQL("{} AS {}").format(_name(theirs), _name(ours)) for ours, theirs in relation.columns.items()]
    return sql.SQL("SELECT {columns} FROM {relation} WHERE {organisation_id} = {organisation}").format(
        columns=sql.SQL(", ").join(columns),
        relation=_from_clause(relation),
        organisation_id=_name(relation.columns["organisation_id"]),
        organisation=organisation,
    )


def _nothing(relation: SqlRelation) -> pd.DataFrame:
    return pd.DataFrame(columns=list(relation.columns), dtype=ARROW_STRING)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _driver_connection(connection: sa.Connection) -> psycopg.Connection[Any]:
    driver_connection: Any = connection.connection.driver_connection
    return driver_connection


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _from_clause(relation: SqlRelation) -> sql.Composable:
    if relation.is_query:
        trusted: Any = as_subquery(relation.table_or_query)  # the operator's own setting, run with the login's rights
        return sql.SQL("({}) AS source").format(sql.SQL(trusted))
    schema, table = table_path(relation.table_or_query)
    return sql.Identifier(schema, table) if schema else sql.Identifier(table)
