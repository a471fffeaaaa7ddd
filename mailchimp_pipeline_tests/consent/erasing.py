"""An organisation with three audiences whose contacts are erased: its HR file, the API, the sandbox, the job.

What does not belong here: looking for what was left behind (`remains`).
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

from sqlalchemy import select

from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.erasure_store import pending_erasures
from mailchimp_pipeline.database.segment_store import NewSegment, SegmentStore
from mailchimp_pipeline.database.tables import AudienceMemberRow, SegmentMemberRow
from mailchimp_pipeline.erasure import Attempt, Erasures
from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline.segments import Segment, SegmentType
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.services.resources import Resources
from mailchimp_pipeline.sync.segment_results import SegmentResult
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_stage, a_tenant
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.waiting import eventually
from sandbox import Fault, FaultKind, Sandbox, StoredMember

ADDRESS = "zebulon.quixley@leaver.test"
FIRST_NAME, LAST_NAME = "Zebulon", "Quixley"
HASH = subscriber_hash(ADDRESS)
CONTACT = (EntityType.EMPLOYEE, "1")
ENTITY = {"entityId": "1", "entityType": "employee"}

LATER = datetime.now(UTC) + timedelta(days=1)
"""A time at which every pending erasure is due."""

_runs = count(1)


@dataclass(frozen=True)
class Office:
    """The organisation; `lists` are its audiences. HR has a leaver with id 1, and somebody else with id 2."""

    tenant: Tenant
    lists: tuple[str, ...]

    @property
    def parts(self) -> Resources:
        return self.tenant.stage.parts

    @property
    def sandbox(self) -> Sandbox:
        return self.tenant.stage.sandbox

    @property
    def organisation_id(self) -> str:
        return self.tenant.organisation_id

    def segment(self, place: int = 0, name: str = "Everybody") -> Segment:
        """Return a new segment of everybody into one of the audiences."""
        with self.parts.database.organisation(self.organisation_id) as session:
            new = NewSegment(name, SegmentType.MIXED, self.lists[place])
            return SegmentStore(session).create(new, by="alice", at=datetime.now(UTC))

    def sync(self, *segments: Segment, parts: Resources | None = None) -> Sequence[SegmentResult]:
        """Sync as the schedule does."""
        keys = [segment.partition_key for segment in segments]
        pipeline = Pipeline(parts or self.parts)
        return list(pipeline.sync(keys, run_id=f"{self.organisation_id}-{next(_runs)}", push=True))

    def erase(self, entity: dict[str, str] = ENTITY) -> Any:  # noqa: ANN401 - JSON
        """Call `gdprDelete`, and return what it answers."""
        return self.tenant.mutate("preferences.gdprDelete", entity).data

    def status(self) -> str:
        """Erase, and return the status."""
        status: str = self.erase()["status"]
        return status

    def retry_pending(self, parts: Resources | None = None) -> list[Attempt]:
        """Let a day pass, and do what the job does."""
        erasures = replace(impatient(parts or self.parts), clock=lambda: LATER)
        return [
            attempt for attempt in erasures.retry_pending() if attempt.request.organisation_id == self.organisation_id
        ]

    def pending(self) -> list[str | None]:
        """Return why each pending erasure is pending."""
        with self.parts.database.organisation(self.organisation_id) as session:
            return [request.last_error for request in pending_erasures(session, self.organisation_id)]

    def there(self, place: int = 0, address: str = ADDRESS) -> StoredMember | None:
        """Return the member at Mailchimp."""
        return self.sandbox.member(self.lists[place], address)

    def known(self) -> list[str]:
        """Return the addresses, as hashes, of all rows of the organisation."""
        with self.parts.database.organisation(self.organisation_id) as session:
            return [
                str(key)
                for row in (SegmentMemberRow, AudienceMemberRow)
                for key in session.scalars(
                    select(row.subscriber_hash).where(row.organisation_id == self.organisation_id)
                )
            ]


def impatient(parts: Resources) -> Erasures:
    """Return the erasures as the job has them, but for its patience with Mailchimp."""
    return parts.erasures(lambda organisation_id: parts.client(organisation_id, retries=Retries(budget=0)))


def an_office(stage: Stage, *, entity_id: str = "1") -> Office:
    """Return an organisation that no other test knows, connected."""
    tenant = a_tenant(stage, connected=True)
    others = (stage.sandbox.add_audience(tenant.account_id, name) for name in ("Partners", "News"))
    office = Office(tenant, (tenant.list_id, *others))
    tenant.add_employees({"id": entity_id, "email": ADDRESS, "first_name": FIRST_NAME, "last_name": LAST_NAME}, {})
    return office


@contextmanager
def a_stage_for_erasing(server: PostgresServer, files: Path) -> Generator[Stage]:
    """Serve an API over a database of its own."""
    name = server.create("migrated")
    with Sandbox.running() as sandbox, a_stage(server.url_of(name), files, sandbox) as stage:
        yield stage
    server.drop(name)


def word(office: Office, *, opted_in: bool, entity_id: str = "1") -> None:
    """Have the API told, by an editor, what a contact said."""
    said = {"entityId": entity_id, "entityType": "employee", "optedIn": opted_in, "consentSource": "form"}
    assert office.tenant.mutate("preferences.updateOptStatus", said).status == 200


@contextmanager
def a_sync_held_at_its_batch(office: Office, segment: Segment) -> Generator[None]:
    """Sync it meanwhile: its first batch holds the person, and Mailchimp answers that at the end of the block."""
    office.sandbox.add_fault(Fault(kind=FaultKind.HELD, method="POST", route="/lists/{list_id}", times=1))
    sync = Thread(target=office.sync, args=[segment])
    sync.start()
    try:
        eventually(lambda: office.sandbox.times_sent(office.lists[0], ADDRESS))
        yield
    finally:
        office.sandbox.clear_faults()
        sync.join()
