"""The stored segments: definitions, sync status, and which segments are due.

What does not belong here: members (`members`), sync requests (`requests`).
"""

from mailchimp_pipeline.database.segments.overview import (
    checked_segments,
    due_partition_keys,
    due_segments,
    fail_abandoned,
    not_synced_since,
)
from mailchimp_pipeline.database.segments.progress import SegmentProgress
from mailchimp_pipeline.database.segments.store import NewSegment, SegmentChanges, SegmentStore
from mailchimp_pipeline.database.segments.summary import Summary, summary

__all__ = [
    "NewSegment",
    "SegmentChanges",
    "SegmentProgress",
    "SegmentStore",
    "Summary",
    "checked_segments",
    "due_partition_keys",
    "due_segments",
    "fail_abandoned",
    "not_synced_since",
    "summary",
]
