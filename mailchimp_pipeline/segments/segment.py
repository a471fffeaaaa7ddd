"""A stored segment and the result of its last sync.

What does not belong here: its members (`members`), the progress of a sync (`sync`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from mailchimp_pipeline.segments.criteria import FilterCriteria, SegmentType


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
    """Values that a newer version stored and this version does not know. Such a segment is shown but not synced."""

    @property
    def partition_key(self) -> str:
        """The segment's partition key in Dagster: `organisation/segment-id`."""
        return f"{self.organisation_id}/{self.id}"
