"""An organisation and its Mailchimp account, with steps to change both sides and sync.

All parts are real: PostgreSQL, the sandbox over HTTP, the client and the ledger. Only the clock is the test's.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.erasure_store import DatabaseErasures
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_member_store import rejected_contacts
from mailchimp_pipeline.database.segment_store import NewSegment, SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import RejectedContactRow, SegmentMemberRow
from mailchimp_pipeline.erasure import Erasures
from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.segments import OnLeave, Segment, SegmentStatus, SegmentType
from mailchimp_pipeline.services.sync_segments import SegmentSync
from mailchimp_pipeline.services.update_opt_status import UpdateOptStatus
from mailchimp_pipeline.sync import SyncReport
from mailchimp_pipeline.sync.segment_results import SegmentResult
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, AT, KEYRING, LIST
from mailchimp_pipeline_tests.mailchimp.builders import a_client
from mailchimp_pipeline_tests.source_fake import FakeSource, Row, a_vendor, an_employee, rows
from sandbox import Hook, Sandbox, Seed, Status

ANN, BOB, CAT = (f"{name}@acme.test" for name in ("ann", "bob", "cat"))
HOUR = timedelta(hours=1)

BATCH, MEMBER = "/lists/{list_id}", "/lists/{list_id}/members/{subscriber_hash}"
"""The sandbox's routes."""


@dataclass
class SetClock:
    """A clock that tests advance."""

    now: datetime = AT

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta = HOUR) -> None:
        """Advance the clock."""
        self.now += by


def people(count: int) -> list[str]:
    """Return this number of addresses."""
    return [f"p{number}@acme.test" for number in range(1, count + 1)]


def a_source(staff: Sequence[Row], vendors: Sequence[Row] = ()) -> FakeSource:
    """Return a source with these employees and vendors."""
    return FakeSource(
        {
            EntityType.EMPLOYEE: rows(*staff) if staff else rows(an_employee()).iloc[:0],
            EntityType.VENDOR: rows(*vendors) if vendors else rows(a_vendor()).iloc[:0],
        }
    )


@dataclass
class SyncScenario:
    """A connected organisation with one segment of its employees. Mailchimp uses the same `clock`."""

    database: Database
    sandbox: Sandbox
    client: MailchimpClient
    clock: SetClock = field(default_factory=SetClock)
    organisation_id: str = ACME
    source: FakeSource = field(default_factory=lambda: a_source([]))

    def __post_init__(self) -> None:
        self.sandbox.reset()
        self.account_id = self.sandbox.add_account(API_KEY.reveal())
        self.sandbox.add_audience(self.account_id, "Staff", LIST)
        with self.database.organisation(self.organisation_id) as session:
            account = Account(self.account_id, "Acme Ltd", API_KEY)
            ConnectionStore(session, KEYRING).connect(account, by="alice", at=self.clock())
        self.segment = self.add_segment()

    def disconnect(self) -> None:
        """Disconnect the organisation."""
        with self.database.organisation(self.organisation_id) as session:
            ConnectionStore(session, KEYRING).disconnect(by="alice", at=self.clock())

    @property
    def records(self) -> DatabaseRecords:
        """The records that a sync uses."""
        return DatabaseRecords(self.database, KEYRING, self.clock)

    @property
    def ledger(self) -> DatabaseLedger:
        """The ledger of the segment's audience."""
        return self.records.ledger(self.organisation_id, LIST)

    def add_segment(
        self, list_id: str = LIST, *, kind: SegmentType = SegmentType.EMPLOYEE, organisation_id: str | None = None
    ) -> Segment:
        """Create another segment of all contacts of this type."""
        with self.database.organisation(organisation_id or self.organisation_id) as session:
            new = NewSegment("Everybody", kind, list_id)
            return SegmentStore(session).create(new, by="alice", at=self.clock())

    def enable_double_opt_in(self) -> None:
        """Enable double opt-in for the empty audience."""
        self.sandbox.remove_audience(LIST)
        self.sandbox.add_audience(self.account_id, "Staff", LIST, double_optin=True)

    def archive_on_leave(self) -> None:
        """Archive contacts that leave the segment."""
        with self.database.organisation(self.organisation_id) as session:
            SegmentStore(session).update(self.segment.id, {"on_leave": OnLeave.ARCHIVE}, by="alice", at=self.clock())

    def set_employees(self, *staff: str | Row, **changes: str | None) -> None:
        """Replace all employees. A text is the address of the employee with the id of its position, from 1."""
        self.source = a_source(
            [
                an_employee(**{"id": str(number), "email": one, **changes}) if isinstance(one, str) else one
                for number, one in enumerate(staff, start=1)
            ],
        )

    def add_member(self, email: str, status: Status = Status.SUBSCRIBED, **merge_fields: str) -> None:
        """Add a member at Mailchimp that the pipeline did not send."""
        self.sandbox.add_members(LIST, [Seed(email_address=email, status=status, merge_fields=merge_fields)])

    def state_preference(self, entity_id: str, *, opted_in: bool, kind: EntityType = EntityType.EMPLOYEE) -> None:
        """Record a contact's preference."""
        service = UpdateOptStatus(self.database, KEYRING, lambda: self.source, self.clock)
        service.record(self.organisation_id, (kind, entity_id), opted_in=opted_in, consent_source="letter", by="alice")

    def erase(self, entity_id: str) -> None:
        """Erase an employee here and at Mailchimp."""
        records = DatabaseErasures(self.database, KEYRING, self.clock)
        erasures = Erasures(records, lambda: self.source, lambda _: nullcontext(self.client), self.clock)
        attempt = erasures.erase(self.organisation_id, (EntityType.EMPLOYEE, entity_id), by="alice")
        assert not attempt.problems

    def before_call(self, method: str, route: str, act: Callable[[], object], *, nth: int = 1) -> None:
        """Run a callback just before the nth matching call is processed."""
        self.sandbox.on_call(Hook(method=method, route=route, nth=nth), act)

    def results(self, *segments: Segment, push: bool = True, confirmed: bool = True) -> dict[str, SegmentResult]:
        """Sync segments an hour later and return the results by segment id. Departures are confirmed by default."""
        self.clock.advance()
        sync = SegmentSync(
            self.source,
            self.records,
            lambda _: self.client,
            self.clock,
            push=push,
            departures_confirmed=frozenset(segment.id for segment in segments if confirmed),
        )
        stored = self.records.segments([segment.partition_key for segment in segments])
        return {result.segment.id: result for result in sync.results(stored)}

    def result(self, *, push: bool = True, confirmed: bool = True) -> SegmentResult:
        """Sync the segment an hour later."""
        return self.results(self.segment, push=push, confirmed=confirmed)[self.segment.id]

    def sync(self) -> SyncReport:
        """Sync the segment an hour later and return its report."""
        result = self.result()
        assert result.report is not None, (result.error, result.defect)
        return result.report

    def status(self, email: str, list_id: str = LIST) -> Status | None:
        """Return the member's status at Mailchimp."""
        member = self.sandbox.member(list_id, email)
        return member and member.status

    def fields(self, email: str) -> tuple[object, object]:
        """Return the member's names at Mailchimp."""
        member = self.sandbox.member(LIST, email)
        assert member is not None
        return member.merge_fields.get("FNAME"), member.merge_fields.get("LNAME")

    def calls(self, method: str, route: str) -> int:
        """Return the number of calls to a route."""
        return self.sandbox.counts().total.calls_to(method, route)

    def rejected(self) -> list[RejectedContactRow]:
        """Return the segment's rejected contacts."""
        with self.database.organisation(self.organisation_id) as session:
            return [*rejected_contacts(session, self.segment.id, limit=1000).items]

    def stored(self, segment: Segment | None = None) -> Segment:
        """Return the stored segment."""
        with self.database.organisation(self.organisation_id) as session:
            found = SegmentStore(session).get((segment or self.segment).id)
        assert found is not None
        return found

    def is_synced(self) -> bool:
        """Return whether the segment's last sync succeeded."""
        return self.stored().status is SegmentStatus.SYNCED

    def members(self) -> list[str]:
        """Return the addresses of the segment's members."""
        with self.database.organisation(self.organisation_id) as session:
            of_segment = SegmentMemberRow.segment_id == self.segment.id
            return sorted(session.scalars(select(SegmentMemberRow.email).where(of_segment)))


@pytest.fixture(scope="session")
def scenario_sandbox() -> Generator[tuple[Sandbox, SetClock]]:
    """Run one sandbox for all scenarios."""
    clock = SetClock()
    with Sandbox.running(clock=clock) as sandbox:
        yield sandbox, clock


@pytest.fixture
def scenario(database: Database, scenario_sandbox: tuple[Sandbox, SetClock]) -> Generator[SyncScenario]:
    """Return a new organisation with an empty audience."""
    sandbox, clock = scenario_sandbox
    clock.now = AT
    with a_client(sandbox.api_root) as client:
        yield SyncScenario(database, sandbox, client, clock)
