"""What happens in a world: the time, what Mailchimp calls to tell, what a process did.

What does not belong here: making it happen (`world`), what follows from it (`words`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mailchimp_pipeline.runs.results import SegmentResult
from mailchimp_pipeline.sandbox import SeenMember, Status
from mailchimp_pipeline.sync import MemberStatus
from mailchimp_pipeline.webhooks import MemberEvent, StandingChanged
from mailchimp_pipeline_tests.consent.processes import Sent
from mailchimp_pipeline_tests.consent.words import Members


class Clock:
    """The time of all parts; it moves when told to, by whole seconds, as Mailchimp's does."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: int) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Call:
    """What a webhook's call tells of an audience."""

    list_id: str
    event: MemberEvent


def standing_event(member: SeenMember) -> MemberEvent | None:
    """Return what Mailchimp tells of a member's new standing; nothing while it waits for a confirmation."""
    if member.status is Status.PENDING:
        return None
    return StandingChanged(member.id, MemberStatus(member.status), member.last_changed)


@dataclass(frozen=True)
class Done:
    """What a process did: the segments' results, whom it sent while Mailchimp had `before`, and whom it moved.

    `moved` has former addresses by audience and present address.
    """

    results: Sequence[SegmentResult]
    sent: Sequence[Sent]
    before: Members
    moved: Mapping[tuple[str, str], str]
