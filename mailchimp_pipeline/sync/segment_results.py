"""What a run did with a segment, in figures."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailchimp_pipeline.segments import Exclusion, Segment
    from mailchimp_pipeline.sync import Audience, SyncReport


class StopReason(StrEnum):
    """Which rule put a segment into error."""

    CONSENT = "consent"
    DEPARTURES = "departures"
    REJECTIONS = "rejections"
    """Mailchimp did not accept too many of what was sent; the other two stop a segment before that."""


@dataclass(frozen=True, slots=True)
class MembershipCounts:
    """A segment's membership in contacts: `matching` the criteria, `members` of them, the others by reason.

    `before` is how many members the segment had, `added`, `changed` and `removed` how they differ.
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
    """What a run did with one segment. `error` says why it did not end well; it holds no personal data."""

    segment: "Segment"
    membership: MembershipCounts | None = None
    audience: "Audience | None" = None
    report: "SyncReport | None" = None
    read: int = 0
    """Members of the audience whose changes were pulled before."""
    unsubscribed: int = 0
    """Members of the audience who opted out, and were unsubscribed before."""
    stopped_by: StopReason | None = None
    retries: int = 0
    """How many calls to Mailchimp were tried again."""
    seconds: float = 0.0
    error: str | None = None
    defect: str | None = None
    """Where in the code an unforeseen error was raised: a stack without the error's text, which may quote data."""

    @property
    def member_count(self) -> int:
        """Return how many members the segment has, as far as its membership was made."""
        return self.membership.members if self.membership else 0

    def figures(self) -> dict[str, object]:
        """Return what there is to tell, as JSON values, for the segment's `last_report`."""
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
