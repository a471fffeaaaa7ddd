"""The two relations that contacts come from, their columns, and the errors for missing columns and ids."""

from enum import StrEnum

from mailchimp_pipeline.errors import PermanentError


class EntityType(StrEnum):
    """What a contact is: an employee or a vendor. Each type has its own relation in the source, a table or file."""

    EMPLOYEE = "employee"
    VENDOR = "vendor"

    @property
    def relation(self) -> str:
        """The name of the type's relation in settings, files, tables and messages, such as `employees`."""
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
"""The columns that are read from a source. Other columns, such as a salary, are not read."""

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
"""The columns of a frame of contacts, all `ARROW_STRING`. If the address is valid, `address_problem` is null; if it is
not, `subscriber_hash` is null."""


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
    """Some rows of a relation have no id or no organisation.

    The opt-outs and erasures of these contacts cannot be looked up.
    """

    def __init__(self, relation: str, column: str, rows: int) -> None:
        super().__init__(
            f"The source's {relation} have {rows} rows with nothing in '{column}'. "
            f"Nobody's opt-out can be looked up without it: fill it in, or leave those rows out with a query."
        )
        self.relation = relation
        self.column = column
        self.rows = rows
