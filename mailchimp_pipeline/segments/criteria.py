"""Which contacts a segment asks for: their relations, and values of their attributes.

What does not belong here: who of them may be a member (`members`).
"""

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from mailchimp_pipeline.contacts import EntityType, normalised

MOST_VALUES = 100
"""Values one criterion may list."""

LONGEST_VALUE = 200
"""Characters of a value."""

STORABLE_TEXT = r"^[^\x00]*$"
"""What texts must match to be stored: PostgreSQL takes every character but NUL."""


class SegmentType(StrEnum):
    """Which contacts a segment draws on."""

    EMPLOYEE = "employee"
    VENDOR = "vendor"
    MIXED = "mixed"

    @property
    def entity_types(self) -> tuple[EntityType, ...]:
        """The relations whose contacts the segment draws on."""
        return tuple(EntityType) if self is SegmentType.MIXED else (EntityType(self.value),)


def folded(value: str) -> str:
    """Return the form in which values are compared: normalised, without regard to case."""
    caseless = normalised(unicodedata.normalize("NFD", value).casefold())
    return normalised(caseless.casefold())  # what NFKC composed may have a case again


def _as_tuple(value: object) -> object:
    """Return a tuple also of a list: one that JSON was read into is none, where types are held to strictly."""
    if isinstance(value, str):
        return (value,)
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


def _without_repeats(values: Iterable[str]) -> tuple[str, ...]:
    first_spelling: dict[str, str] = {}
    for value in values:
        first_spelling.setdefault(folded(value), value)
    return tuple(first_spelling.values())


Value = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_VALUE, pattern=STORABLE_TEXT)
]
Values = Annotated[
    tuple[Value, ...],
    Field(max_length=MOST_VALUES),
    BeforeValidator(_as_tuple, json_schema_input_type=Value | tuple[Value, ...]),
    AfterValidator(_without_repeats),
]


class FilterCriteria(BaseModel):
    """Which contacts match: per attribute any of its values, over attributes all of them. Empty matches everybody.

    A single string is taken as a list of one; values are trimmed, and of two that are compared as the same one is kept.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        populate_by_name=True,
        hide_input_in_errors=True,
        json_schema_serialization_defaults_required=True,
    )

    department: Values = ()
    location: Values = ()
    employment_type: Values = ()
    employment_status: Values = ()
