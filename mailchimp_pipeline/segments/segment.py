"""A stored segment: its type, its filter criteria, and the result of its last sync."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from mailchimp_pipeline.contacts import EntityType, normalised

MOST_VALUES = 100
"""The maximum number of values of one criterion."""

LONGEST_VALUE = 200
"""The maximum number of characters of a criterion's value."""

STORABLE_TEXT = r"^[^\x00]*$"
"""A regular expression for text that PostgreSQL can store: without NUL characters."""


class SegmentType(StrEnum):
    """Whether a segment selects employees, vendors or both."""

    EMPLOYEE = "employee"
    VENDOR = "vendor"
    MIXED = "mixed"

    @property
    def entity_types(self) -> tuple[EntityType, ...]:
        """The entity types that a segment of this type selects."""
        return tuple(EntityType) if self is SegmentType.MIXED else (EntityType(self.value),)


def folded(value: str) -> str:
    """Return the text as criteria and attributes are compared: normalised, and without differences of case."""
    caseless = normalised(unicodedata.normalize("NFD", value).casefold())
    return normalised(caseless.casefold())  # NFKC may compose characters that have a case again


def _as_tuple(value: object) -> object:
    """Return a list or a single string as a tuple, because pydantic's strict mode accepts nothing else."""
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
    """The criteria of a segment: for each attribute, the values that a contact may have. No values allow any.

    A contact has to match the criteria of all attributes, so empty criteria match everybody. A single string counts as
    a list of one. Values are trimmed. Of values that `folded` makes equal, only the first is kept.
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


class SegmentStatus(StrEnum):
    """The sync status of a segment."""

    PENDING = "pending"
    SYNCING = "syncing"
    SYNCED = "synced"
    ERROR = "error"


class OnLeave(StrEnum):
    """What the pipeline does at Mailchimp with a member who left the segment."""

    KEEP = "keep"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Segment:
    """A stored segment. Times are in UTC."""

    id: str
    organisation_id: str
    name: str
    segment_type: SegmentType
    mailchimp_list_id: str
    created_at: datetime
    updated_at: datetime
    description: str | None = None
    mailchimp_list_name: str | None = None
    filter_criteria: FilterCriteria = field(default_factory=FilterCriteria)
    on_leave: OnLeave = OnLeave.KEEP
    status: SegmentStatus = SegmentStatus.PENDING
    last_error: str | None = None
    member_count: int | None = None
    last_report: Mapping[str, object] | None = None
    last_synced_at: datetime | None = None
    soft_deleted_at: datetime | None = None
    unknown: tuple[str, ...] = ()
    """Values that a newer version of the pipeline stored and this one does not know. A segment with such values is
    shown but not synced."""

    @property
    def partition_key(self) -> str:
        """The segment's partition key in Dagster: `organisation/segment-id`."""
        return f"{self.organisation_id}/{self.id}"
