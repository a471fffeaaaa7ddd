"""Twenty thousand contacts with changes between two syncs, and their expected statuses at Mailchimp."""

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, field

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.consent import ConsentStatement
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.consent_statements import record_statements
from mailchimp_pipeline.database.erasure_store import DatabaseErasures
from mailchimp_pipeline.database.locks import DatabaseConnectionSlots
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.segment_store import NewSegment, SegmentStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.erasure import Erasures
from mailchimp_pipeline.mailchimp import MailchimpClient, Retries, Timeouts
from mailchimp_pipeline.segments import OnLeave, Segment, SegmentType
from mailchimp_pipeline.services.sync_segments import SegmentSync
from mailchimp_pipeline.sync.segment_results import SegmentResult
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, KEYRING, LIST
from mailchimp_pipeline_tests.source_fake import FakeSource, Row, a_vendor, an_employee, rows
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import Fault, FaultKind, Sandbox, Seed, Status

Numbers = Sequence[int]


def address(number: int) -> str:
    """Return an employee's first address."""
    return f"p{number}@acme.test"


@dataclass
class FaultScenario:
    """The employees and the audience of one organisation. `expected` has each address's expected status."""

    database: Database
    sandbox: Sandbox
    client: MailchimpClient
    people: dict[int, Row]
    segment: Segment
    expected: dict[str, Status] = field(default_factory=dict[str, Status])
    clock: Clock = utc_now
    finished: list[bool] = field(default_factory=list[bool])

    def sync(self) -> SegmentResult:
        """Sync as a run does."""
        records = DatabaseRecords(self.database, KEYRING, self.clock)
        stored_segment = records.segments([self.segment.partition_key])
        (result,) = SegmentSync(self.source(), records, lambda _: self.client, self.clock).results(stored_segment)
        self.finished.append(result.error is None)
        return result

    def stored_segment(self) -> Segment:
        """Return the stored segment."""
        (segment,) = DatabaseRecords(self.database, KEYRING, utc_now).segments([self.segment.partition_key])
        return segment

    def fail_batches_after(self, count: int) -> None:
        """Make every batch fail after this number of batches."""
        self.sandbox.add_fault(Fault(kind=FaultKind.UNAVAILABLE, method="POST", route="/lists/{list_id}", skip=count))

    def source(self) -> FakeSource:
        """Return the current source."""
        return FakeSource({EntityType.EMPLOYEE: rows(*self.people.values()), EntityType.VENDOR: rows(a_vendor(id="v"))})

    def opt_out(self, numbers: Numbers, *, known_there: bool) -> None:
        """Record opt-outs of employees. `known_there` says whether the employees are members at Mailchimp."""
        with self.database.organisation(ACME) as session:
            out = [
                ConsentStatement(
                    opted_in=False, source="letter", stated_at=utc_now(), contact=(EntityType.EMPLOYEE, str(number))
                )
                for number in numbers
            ]
            record_statements(session, KEYRING, out, by="alice", at=utc_now())
        self._expect(numbers, Status.UNSUBSCRIBED if known_there else None)

    def unsubscribe(self, numbers: Numbers) -> None:
        """Unsubscribe employees at Mailchimp."""
        for number in numbers:
            self.sandbox.unsubscribe_by_link(LIST, address(number))
        self._expect(numbers, Status.UNSUBSCRIBED)

    def bounce(self, numbers: Numbers) -> None:
        """Record hard bounces at Mailchimp."""
        for number in numbers:
            self.sandbox.bounce(LIST, address(number))
        self._expect(numbers, Status.CLEANED)

    def archive(self, numbers: Numbers) -> None:
        """Archive employees at Mailchimp, as an administrator."""
        for number in numbers:
            self.sandbox.archive_as_admin(LIST, address(number))
        self._expect(numbers, Status.ARCHIVED)

    def erase(self, numbers: Numbers) -> list[str]:
        """Erase employees here and at Mailchimp, and return the status of each request."""
        records = DatabaseErasures(self.database, KEYRING, utc_now)
        erasures = Erasures(records, self.source, lambda _: nullcontext(self.client), utc_now)
        ends: list[str] = []
        for number in numbers:
            attempt = erasures.erase(ACME, (EntityType.EMPLOYEE, str(number)), by="alice")
            ends.append(attempt.request.status.value)
        self._expect(numbers, None)
        return ends

    def change_addresses(self, numbers: Numbers) -> None:
        """Change the employees' addresses."""
        for number in numbers:
            self.people[number] = {**self.people[number], "email": f"new{number}@acme.test"}
            self.expected[f"new{number}@acme.test"] = self.expected.pop(address(number))

    def change_last_names(self, numbers: Numbers) -> None:
        """Change the employees' last names."""
        for number in numbers:
            self.people[number] = {**self.people[number], "last_name": "King"}

    def remove_employees(self, numbers: Numbers) -> None:
        """Remove employees from the source, so that a sync archives them."""
        for number in numbers:
            del self.people[number]
        self._expect(numbers, Status.ARCHIVED)

    def deviations(self) -> Counter[str]:
        """Count the deviations from the expected statuses by kind."""
        there = {member.email_address: member.status for member in self.sandbox.members(LIST)}
        counted: Counter[str] = Counter(lost=0, unwanted=0, doubled=0, otherwise=0)
        for email in there.keys() | self.expected.keys():
            status, expected_status = there.get(email), self.expected.get(email)
            if status is expected_status:
                continue
            moved = email.startswith("p") and email.replace("p", "new", 1) in self.expected
            kind = "lost" if expected_status is Status.SUBSCRIBED else "doubled" if moved else "otherwise"
            counted["unwanted" if status is Status.SUBSCRIBED and not moved else kind] += 1
        return counted

    def repeated_contacts(self) -> int:
        """Count the repeated contacts: contacts in processed batches whose answer was lost."""
        return sum(count - 1 for count in self.sandbox.carried_out(LIST).values())

    def _expect(self, numbers: Numbers, status: Status | None) -> None:
        for number in numbers:
            self.expected.pop(address(number), None)
            if status:
                self.expected[address(number)] = status


@contextmanager
def fault_scenario(database: Database, count: int, retries: Retries, read_seconds: float) -> Generator[FaultScenario]:
    """Create employees, some of which are members at Mailchimp already."""
    people = {n: an_employee(id=str(n), email=address(n), last_name=f"Nr {n}") for n in range(count)}
    with Sandbox.running() as sandbox:
        account_id = sandbox.add_account(API_KEY.reveal())
        sandbox.add_audience(account_id, "Staff", LIST)
        sandbox.add_members(LIST, [Seed(email_address=address(number)) for number in range(300)])
        with database.organisation(ACME) as session:
            ConnectionStore(session, KEYRING).connect(Account(account_id, "Acme", API_KEY), by="alice", at=utc_now())
            new = NewSegment("Everybody", SegmentType.MIXED, LIST, on_leave=OnLeave.ARCHIVE)
            segment = SegmentStore(session).create(new, by="alice", at=utc_now())
        slots = DatabaseConnectionSlots(database, account_id)
        timeouts = Timeouts(connect=TIMEOUT_SECONDS, read=read_seconds)
        client = MailchimpClient(API_KEY, slots=slots, root=sandbox.api_root, retries=retries, timeouts=timeouts)
        with closing(slots), client:
            expected = dict.fromkeys([*map(address, people), "orders@bolts.test"], Status.SUBSCRIBED)
            yield FaultScenario(database, sandbox, client, dict(people), segment, expected)
