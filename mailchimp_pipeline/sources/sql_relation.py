"""A relation in a database: its table or query, and its column names.

What does not belong here: reading rows (`sql_copy`, `sql_select`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from mailchimp_pipeline.contacts import RELATION_COLUMNS, EntityType, MissingColumnError
from mailchimp_pipeline.sources.header import column_name

_QUERY = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SqlRelation:
    """A relation in a database. `columns` maps names in `RELATION_COLUMNS` to the relation's own names."""

    table_or_query: str
    columns: Mapping[str, str]

    @classmethod
    def find(cls, connection: sa.Connection, entity_type: EntityType, table_or_query: str) -> "SqlRelation":
        """Return the relation with its available columns, compared as `column_name`. Raises `MissingColumnError`."""
        everything: sa.ColumnElement[object] = sa.literal_column("*")
        probe = sa.select(everything).select_from(_from_clause(table_or_query)).where(sa.false())
        found = list(connection.execute(probe).keys())
        theirs = {column_name(name): name for name in found}
        columns = {name: theirs[name] for name in RELATION_COLUMNS if name in theirs}
        if "organisation_id" not in columns:
            raise MissingColumnError(entity_type.relation, "organisation_id")
        return cls(table_or_query=table_or_query, columns=columns)

    @property
    def is_query(self) -> bool:
        """Whether the relation is a query and not a table."""
        return is_query(self.table_or_query)

    @property
    def from_clause(self) -> sa.FromClause:
        """The relation as an SQLAlchemy FROM clause."""
        return _from_clause(self.table_or_query)


def is_query(table_or_query: str) -> bool:
    """Return whether the text is a query: it starts with `select` or `with`."""
    return _QUERY.match(table_or_query) is not None


def as_subquery(query: str) -> str:
    """Return the query for use in brackets, without the last semicolon and with a line break after a last comment."""
    return query.strip().rstrip(";") + "\n"


def table_path(name: str) -> tuple[str | None, str]:
    """Return the schema, None if the name has none, and the table."""
    schema, _, table = name.strip().rpartition(".")
    return schema or None, table


def _from_clause(table_or_query: str) -> sa.FromClause:
    if is_query(table_or_query):
        literal = as_subquery(table_or_query).replace(":", r"\:")  # SQLAlchemy reads `:name` as a parameter
        return sa.text(literal).columns().subquery("source")
    schema, table = table_path(table_or_query)
    return sa.table(table, schema=schema)
