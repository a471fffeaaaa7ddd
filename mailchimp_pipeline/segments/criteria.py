"""Which contacts a segment asks for: their relations, and values of their attributes.

What does not belong here: who of them may be a member (`members`).
"""

import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from mailchimp_pipeline.contacts import EntityType

MOST_VALUES = 100
"""Values one criterion may list."""

LONGEST_VALUE = 200
"""Characters of a value."""


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
    """Return the form in which values are compared: trimmed, without regard to case or to how accents are encoded."""
    decomposed = unicodedata.normalize("NFD", value.strip())
    return unicodedata.normalize("NFD", decomposed.casefold())


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _without_repeats(values: Iterable[str]) -> tuple[str, ...]:
    first_spelling: dict[str, str] = {}
    for value in values:
        first_spelling.setdefault(folded(value), value)
    return tuple(first_spelling.values())


Value = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_VALUE)]
Values = Annotated[
    tuple[Value, ...], Field(max_length=MOST_VALUES), BeforeValidator(_as_list), AfterValidator(_without_repeats)
]


class FilterCriteria(BaseModel):
    """Which contacts match: per attribute any of its values, over attributes all of them. Empty matches everybody.

    A single string is taken as a list of one; values are trimmed, and one given twice is kept once.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True, hide_input_in_errors=True
    )

    department: Values = ()
    location: Values = ()
    employment_type: Values = ()
    employment_status: Values = ()
