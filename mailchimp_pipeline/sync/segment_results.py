"""The result of a segment's sync: the numbers of its members, the report of the push, the error, and its run."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailchimp_pipeline.segments import Exclusion, Segment
    from mailchimp_pipeline.sync import Audience, SyncReport


class StopReason(StrEnum):
    """The rule that stopped a segment's sync."""

    CONSENT = "consent"
    DEPARTURES = "departures"
    REJECTIONS = "rejections"
    """Mailchimp rejected too many members. Checked after the push; the other rules stop a segment before the push."""


class Trigger(StrEnum):
    """What started a run of syncs."""

    SCHEDULE = "schedule"
    REQUEST = "request"
    DAGSTER = "dagster"
    """A person, in Dagster."""


@dataclass(frozen=True, slots=True)
class SyncRun:
    """The Dagster run that syncs segments, and what started it."""

    id: str
    trigger: Trigger


@dataclass(frozen=True, slots=True)
class MembershipCounts:
    """Numbers of contacts: `matching` the criteria, `members` of the segment, and `excluded` by reason.

    `before` is the number of members before the sync. `added`, `changed` and `removed` are the differences to them.
    """

    matching: int
    members: int
    excluded: "Mapping[Exclusion, int]"
    before: int
    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """The result of one segment's sync. `error` says why the sync failed, without personal data, None if it did not."""

    segment: "Segment"
    membership: MembershipCounts | None = None
    audience: "Audience | None" = None
    report: "SyncReport | None" = None
    read: int = 0
    """Number of the audience's members that the pull read."""
    unsubscribed: int = 0
    """Number of members who had opted out, and whom the sync unsubscribed before the push."""
    stopped_by: StopReason | None = None
    retries: int = 0
    """Number of repeated calls to Mailchimp."""
    seconds: float = 0.0
    error: str | None = None
    defect: str | None = None
    """The stack of an unexpected error, without the error's text, which may contain personal data."""

    @property
    def member_count(self) -> int:
        """The number of the segment's members, 0 if the membership was not stored."""
        return self.membership.members if self.membership else 0

    def figures(self) -> dict[str, object]:
        """Return the counts and the duration as JSON values, for the segment, its history and Dagster."""
        membership = self.membership and {
            "matching": self.membership.matching,
            "excluded": {str(reason): count for reason, count in sorted(self.membership.excluded.items())},
        }
        report = self.report.as_dict() if self.report else {}
        return {
            **(membership or {}),
            **report,
            "read": self.read,
            "unsubscribed": self.unsubscribed,
            "retries": self.retries,
            "seconds": round(self.seconds, 3),
        }
