"""Segments of an organisation's contacts: the filter criteria, who is a member, and why somebody is not.

What does not belong here: storing segments (`database`), pushing members (`sync`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    import pandas as pd


class SegmentType(StrEnum):
    """Which contacts a segment draws on."""

    EMPLOYEE = "employee"
    VENDOR = "vendor"
    MIXED = "mixed"


class SegmentStatus(StrEnum):
    """How a segment's last sync went."""

    PENDING = "pending"
    SYNCING = "syncing"
    SYNCED = "synced"
    ERROR = "error"


class OnLeave(StrEnum):
    """What happens at Mailchimp to a member who left the segment."""

    KEEP = "keep"
    ARCHIVE = "archive"


class Exclusion(StrEnum):
    """Why a contact that matches the criteria is not a member."""

    MISSING_ADDRESS = "missing_address"
    INVALID_ADDRESS = "invalid_address"
    DUPLICATE = "duplicate"
    OPTED_OUT = "opted_out"
    NO_CONSENT = "no_consent"
    ERASED = "erased"


class FilterCriteria(BaseModel):
    """Which contacts match: per attribute any of its values, over attributes all of them. Empty matches everybody."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)

    department: tuple[str, ...] = ()
    location: tuple[str, ...] = ()
    employment_type: tuple[str, ...] = ()
    employment_status: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as it is stored; times are UTC."""

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

    @property
    def partition_key(self) -> str:
        """The segment's partition in Dagster: `organisation/segment-id`."""
        return f"{self.organisation_id}/{self.id}"


@dataclass(frozen=True, slots=True)
class Suppressions:
    """Who of an organisation must not be pushed, each with an `Exclusion` as `reason`.

    `entities`: columns entity_type, entity_id, reason. `addresses`: columns subscriber_hash, reason.
    """

    entities: "pd.DataFrame"
    addresses: "pd.DataFrame"


@dataclass(frozen=True, slots=True)
class Membership:
    """Who is in a segment. `members` has the columns of a contact but `address_problem`, one row an address."""

    members: "pd.DataFrame"
    matching: int
    excluded: Mapping[Exclusion, int]
