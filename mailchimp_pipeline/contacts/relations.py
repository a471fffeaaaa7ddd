"""The two relations of contacts, their columns, and the errors for missing columns and ids."""

from enum import StrEnum

from mailchimp_pipeline.errors import PermanentError


class EntityType(StrEnum):
    """The relation that a contact comes from."""

    EMPLOYEE = "employee"
    VENDOR = "vendor"

    @property
    def relation(self) -> str:
        """The relation's name in settings, files, tables and messages."""
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
"""The columns that a source returns. Other columns, such as a salary, are not read."""

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
"""The columns of a frame of contacts, all `ARROW_STRING`. `address_problem` is null if the address is valid;
`subscriber_hash` is null if it is not."""


class MissingColumnError(PermanentError):
    """A relation does not have a required column."""

    def __init__(self, relation: str, column: str) -> None:
        super().__init__(
            f"The source's {relation} have no column '{column}'. Add it to the table or file, "
            f"or give one of their columns that name with a query."
        )
        self.relation = relation
        self.column = column


class MissingIdError(PermanentError):
    """Rows of a relation lack the id or the organisation, so their opt-outs and erasures cannot be looked up."""

    def __init__(self, relation: str, column: str, rows: int) -> None:
        super().__init__(
            f"The source's {relation} have {rows} rows with nothing in '{column}'. "
            f"Nobody's opt-out can be looked up without it: fill it in, or leave those rows out with a query."
        )
        self.relation = relation
        self.column = column
        self.rows = rows
