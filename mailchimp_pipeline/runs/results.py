"""What a run did with a segment, in figures."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailchimp_pipeline.segments import Exclusion, Segment
    from mailchimp_pipeline.sync import Audience, SyncReport


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
    violations: int = 0
    seconds: float = 0.0
    error: str | None = None
    defect: str | None = None
    """Where in the code an unforeseen error was raised: a stack without the error's text, which may quote data."""
