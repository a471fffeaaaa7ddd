"""The base of all tables: column types and names of constraints.

What does not belong here: tables.
"""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, DateTime, MetaData, Text, and_, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from mailchimp_pipeline.contacts import EntityType

ValueT = TypeVar("ValueT")

RowId = Annotated[UUID, mapped_column(primary_key=True, server_default=func.gen_random_uuid())]

ByteOrdered = Annotated[str, mapped_column(Text(collation="C"))]
"""Text compared byte by byte. The order of hashes and ids is then the same on every server, and fast."""


class Row(DeclarativeBase):
    """A row of any table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it, nothing changes it
        str: Text(),
        datetime: DateTime(timezone=True),
        dict[str, object]: JSONB(none_as_null=True),
    }


class OrganisationRow(Protocol):
    """A row that belongs to an organisation."""

    organisation_id: Mapped[str]


class ContactRow(Protocol):
    """A row with a contact."""

    entity_type: Mapped[Any]
    entity_id: Mapped[Any]


def of_contact(row: type[ContactRow], contact: tuple[EntityType, str]) -> ColumnElement[bool]:
    """Return the condition that a row has this contact."""
    return and_(row.entity_type == contact[0].value, row.entity_id == contact[1])


def as_value(kind: type[ValueT], row: Row, **converted: object) -> ValueT:
    """Return a dataclass with the row's columns of the same names. `converted` replaces some of them."""
    names = {field.name for field in fields(kind)} - converted.keys()  # pyright: ignore[reportArgumentType] - a dataclass
    return kind(**{name: getattr(row, name) for name in names}, **converted)


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """Return the constraint that a column has one of these values, or null if it is nullable."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} in ({listed})", name=f"{column}_known")


def row_id(text: str) -> UUID | None:
    """Return the text as a row's id, None if it is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None


def row_ids(texts: Iterable[str]) -> list[UUID]:
    """Return the texts as rows' ids, without those that are not UUIDs."""
    return [found for text in texts if (found := row_id(text))]
