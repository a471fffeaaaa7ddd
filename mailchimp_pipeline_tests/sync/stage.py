"""A segment, its ledger and its audience in memory, and what a sync makes of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.sync import MemberStatus, Refusal, SyncReport, read_standings, sync_audience
from mailchimp_pipeline_tests.database.builders import AT, LIST, a_member, members
from mailchimp_pipeline_tests.fakes import FakeAudience, FakeAudiences
from mailchimp_pipeline_tests.ledger_fake import FakeLedger

SEGMENT = "segment-1"
ANN, BOB = "ann@acme.test", "bob@acme.test"

Member = dict[str, str | None]


@dataclass
class Clock:
    """Goes on by `step` each time it is asked."""

    now: datetime = AT
    step: timedelta = timedelta(seconds=1)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now


@dataclass
class Stage:
    """What a sync works with; each part may be exchanged before it."""

    audiences: FakeAudiences
    ledger: FakeLedger
    clock: Clock = field(default_factory=Clock)

    def sync(self, stopping: Callable[[], bool] = lambda: False) -> SyncReport:
        """Read the standings, then push."""
        read_standings(LIST, audiences=self.audiences, ledger=self.ledger, now=self.clock())
        return self.push(stopping)

    def push(self, stopping: Callable[[], bool] = lambda: False) -> SyncReport:
        """Push without reading first."""
        audience = self.audiences.audience(LIST)
        return sync_audience(
            SEGMENT, audience, audiences=self.audiences, ledger=self.ledger, clock=self.clock, stopping=stopping
        )

    def status(self, email: str) -> MemberStatus | None:
        """Return how the member stands at Mailchimp."""
        return self.audiences.member_status(LIST, subscriber_hash(email))

    def sent(self) -> list[str]:
        """Return the addresses of all batches so far."""
        return [member.email for batch in self.audiences.batches for member in batch.members]


def a_stage(
    *everybody: Member, double_optin: bool = False, refusals: Mapping[str, Refusal] | None = None, piece: int = 10_000
) -> Stage:
    """Return a segment of these members and an audience that has nobody yet."""
    clock = Clock()
    audience = FakeAudience(LIST, double_optin=double_optin, refusals=refusals or {})
    ledger = FakeLedger({SEGMENT: members(*everybody)}, clock=clock, piece=piece)
    return Stage(FakeAudiences(audience, clock=clock), ledger, clock)


def people(count: int) -> list[Member]:
    """Return so many members, each with an address of its own."""
    return [a_member(f"p{number}@acme.test", entity_id=str(number)) for number in range(count)]


def parts(report: SyncReport) -> int:
    """Return the sum of what `wanted` falls into."""
    counted = report.new + report.changed + report.unchanged + report.refused_before
    return counted + sum(report.refused.values()) + sum(report.withheld.values())
