"""The two relations contacts come from: their columns, the columns of a contact, and what a relation may lack.

What does not belong here: the values in the columns (`rows`, `addresses`).
"""

from enum import StrEnum

from mailchimp_pipeline.errors import PermanentError


class EntityType(StrEnum):
    """The relation a contact comes from."""

    EMPLOYEE = "employee"
    VENDOR = "vendor"

    @property
    def relation(self) -> str:
        """What the relation is called in settings, files, tables and messages."""
        return f"{self.value}s"


ATTRIBUTES = ("department", "location", "employment_type", "employment_status")

RELATION_COLUMNS = (
    "organisation_id",
    "id",
    "email",
    "first_name",
    "last_name",
    *ATTRIBUTES,
    "name",
    "company_name",
)
"""All columns a source hands out. Others, such as a salary, are not read at all."""

CONTACT_COLUMNS = (
    "organisation_id",
    "entity_type",
    "entity_id",
    "email",
    "subscriber_hash",
    "first_name",
    "last_name",
    *ATTRIBUTES,
    "address_problem",
)
"""Columns of a contacts frame, all `ARROW_STRING`; `address_problem` is null where the address can be mailed,
and there alone `subscriber_hash` is not."""


class MissingColumnError(PermanentError):
    """A relation lacks a column that contacts need."""

    def __init__(self, relation: str, column: str) -> None:
        super().__init__(
            f"The source's {relation} have no column '{column}'. Add it to the table or file, "
            f"or give one of their columns that name with a query."
        )
        self.relation = relation
        self.column = column


class MissingIdError(PermanentError):
    """Rows of a relation lack the id or organisation that opt-outs and erasures go by, so none may be pushed."""

    def __init__(self, relation: str, column: str, rows: int) -> None:
        super().__init__(
            f"The source's {relation} have {rows} rows with nothing in '{column}'. "
            f"Nobody's opt-out can be looked up without it: fill it in, or leave those rows out with a query."
        )
        self.relation = relation
        self.column = column
        self.rows = rows
