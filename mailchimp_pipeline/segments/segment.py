"""A segment as it is stored, and how its last sync went.

What does not belong here: its members (`members`), a sync's progress (`sync`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mailchimp_pipeline.segments.criteria import FilterCriteria, SegmentType


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
    unknown: tuple[str, ...] = ()
    """What a newer version stored that this version does not know. Such a segment is shown but not synced."""

    @property
    def partition_key(self) -> str:
        """The segment's partition in Dagster: `organisation/segment-id`."""
        return f"{self.organisation_id}/{self.id}"
