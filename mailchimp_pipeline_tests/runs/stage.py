"""A run in memory: a source, records, and one account of Mailchimp for all organisations."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from mailchimp_pipeline.runs.run import Run

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.contacts import EntityType, Source
from mailchimp_pipeline.runs.results import SegmentResult
from mailchimp_pipeline.segments import Segment, SegmentType
from mailchimp_pipeline.sync import Audiences
from mailchimp_pipeline_tests.fakes import FakeAudience, FakeAudiences
from mailchimp_pipeline_tests.runs.records_fake import FakeRecords
from mailchimp_pipeline_tests.source_fake import FakeSource, Row, a_vendor, an_employee, rows

AT = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)
STAFF, PARTNERS = "a1b2c3d4e5", "f6f7f8f9f0"


def a_segment(  # noqa: PLR0913 - a builder
    segment_id: str = "1",
    *,
    organisation_id: str = "acme",
    kind: SegmentType = SegmentType.EMPLOYEE,
    list_id: str = STAFF,
    member_count: int | None = None,
    name: str = "Everybody",
) -> Segment:
    """Return a segment as it is stored."""
    return Segment(segment_id, organisation_id, name, kind, list_id, AT, AT, member_count=member_count)


def employees(*emails: str, organisation_id: str = "acme") -> list[Row]:
    """Return raw rows of employees with these addresses."""
    return [
        an_employee(id=str(number), email=email, organisation_id=organisation_id)
        for number, email in enumerate(emails, start=1)
    ]


def a_source(*staff: Row, vendors: list[Row] | None = None) -> FakeSource:
    """Return a source of these employees and vendors, of one employee and one vendor of acme where none are given."""
    relations = {EntityType.EMPLOYEE: rows(*(staff or employees("ann@acme.test")))}
    return FakeSource(relations | {EntityType.VENDOR: rows(*(vendors or [a_vendor()]))})


@dataclass
class Stage:
    """What runs work with; each part may be exchanged before one."""

    source: Source = field(default_factory=a_source)
    records: FakeRecords = field(default_factory=FakeRecords)
    mailchimp: FakeAudiences = field(
        default_factory=lambda: FakeAudiences(FakeAudience(STAFF), FakeAudience(PARTNERS, name="Partners"))
    )
    clock: Clock = utc_now

    def run(self, *, push: bool = True, confirmed: frozenset[str] = frozenset()) -> Run:
        """Return a run."""
        return Run(self.source, self.records, self.audiences, self.clock, push=push, departures_confirmed=confirmed)

    def results(self, *segments: Segment, push: bool = True) -> dict[str, SegmentResult]:
        """Do a run, and return its results by segment id."""
        return {result.segment.id: result for result in self.run(push=push).results(segments)}

    def result(self, segment: Segment) -> SegmentResult:
        """Do a run over one segment."""
        return self.results(segment)[segment.id]

    def audiences(self, organisation_id: str) -> Audiences:
        """Return the account."""
        return self.mailchimp

    def sent(self) -> list[str]:
        """Return the addresses of all batches so far."""
        return sorted(member.email for batch in self.mailchimp.batches for member in batch.members)
