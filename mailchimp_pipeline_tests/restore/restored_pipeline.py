"""An organisation whose database is restored from a backup.

Before the backup, all contacts are subscribed. After the backup, contacts leave in every possible way and one joins.
"""

from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from mailchimp_pipeline.database.segment_store import NewSegment, SegmentStore
from mailchimp_pipeline.mailchimp import MailchimpClient, Retries
from mailchimp_pipeline.segments import Segment, SegmentType
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.services.reconcile_audiences import ReconciledAudience, Reconciliation
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.api.procedures.stage import a_stage, a_tenant, settings_for
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.consent.erasing import Office
from mailchimp_pipeline_tests.database.builders import AT
from mailchimp_pipeline_tests.restore.dumps import back_up, restore
from sandbox import Sandbox

PEOPLE = ("stays", "unsubscribes", "opts-out", "erased", "archived", "bounces")
NEW = "comes"


def address(person: str) -> str:
    return f"{person}@restored.test"


@dataclass(frozen=True)
class RestoredPipeline:
    """The pipeline on the restored database. `office` is the organisation before the restore."""

    office: Office
    parts: Resources
    settings: Settings
    segment: Segment

    def reconcile(self, *, dry_run: bool = False) -> ReconciledAudience:
        """Reconcile the audience of all contacts."""
        return next(each for each in self._reconciliation(dry_run).audiences() if each.list_id == self.list_id)

    @property
    def list_id(self) -> str:
        return self.segment.mailchimp_list_id

    def create_segment_elsewhere(self) -> Segment:
        new = NewSegment("Elsewhere", SegmentType.EMPLOYEE, self.office.lists[1])
        with self.parts.database.organisation(self.office.organisation_id) as session:
            return SegmentStore(session).create(new, by="alice", at=AT)

    def sync(self, *segments: Segment) -> Sequence[str | None]:
        """Sync as the schedule does, and return the errors."""
        keys = [segment.partition_key for segment in segments]
        results = Pipeline(self.parts).sync(keys, run_id="restored", push=True)
        return [result.error for result in results]

    def mailchimp_statuses(self, list_id: str) -> dict[str, str]:
        """Return the members' statuses at Mailchimp."""
        members = self.office.sandbox.members(list_id)
        return {member.email_address.partition("@")[0]: member.status.value for member in members}

    def ledger_statuses(self) -> dict[str, str]:
        """Return the statuses in the ledger by subscriber hash."""
        query = "select subscriber_hash, status from audience_members where mailchimp_list_id = :id and status <> ''"
        with self.parts.database.organisation(self.office.organisation_id) as session:
            return {row.subscriber_hash: row.status for row in session.execute(text(query), {"id": self.list_id})}

    def rows(self) -> list[str]:
        """Return the rows of members and consent as text."""
        with self.parts.database.organisation(self.office.organisation_id) as session:
            tables = ("audience_members", "audience_reads", "email_preferences", "consent_statements", "audit_log")
            return [row for table in tables for row in session.scalars(text(f"select t::text from {table} t"))]  # noqa: S608 - our tables

    def _reconciliation(self, dry_run: bool) -> Reconciliation:
        organisation_id = self.office.organisation_id

        def client() -> closing[MailchimpClient]:
            return closing(self.parts.client(organisation_id, retries=Retries(budget=0)))

        return Reconciliation(self.parts.database, self.parts.keyring, organisation_id, client, dry_run=dry_run)


@contextmanager
def restored_pipeline(server: PostgresServer, files: Path) -> Generator[RestoredPipeline]:
    """Yield the organisation after the restore and before `reconcile`."""
    source_database, restored_database = server.create("migrated"), server.create()
    backup = files / "backup"
    with Sandbox.running() as sandbox:
        with a_stage(server.url_of(source_database), files, sandbox) as stage:
            tenant = a_tenant(stage, connected=True)
            office = Office(tenant, (tenant.list_id, sandbox.add_audience(tenant.account_id, "Elsewhere")))
            tenant.add_employees(*({"id": person, "email": address(person)} for person in PEOPLE))
            segment = office.segment()
            assert office.sync(segment)[0].error is None
            back_up(server.url_of(source_database), backup)
            change_after_backup(office, segment)
        server.drop(source_database)
        restore(backup, server.url_of(restored_database))
        settings = settings_for(server.url_of(restored_database), files, sandbox)
        with open_resources(settings) as parts:
            yield RestoredPipeline(office, parts, settings, segment)
    server.drop(restored_database)


def change_after_backup(office: Office, segment: Segment) -> None:
    """Make the changes that the backup does not contain."""
    office.tenant.add_employees({"id": NEW, "email": address(NEW)})
    said = {"entityId": "opts-out", "entityType": "employee", "optedIn": False, "consentSource": "form"}
    assert office.tenant.mutate("preferences.updateOptStatus", said).status == 200
    office.sandbox.unsubscribe_by_link(segment.mailchimp_list_id, address("unsubscribes"))
    office.sandbox.archive_as_admin(segment.mailchimp_list_id, address("archived"))
    office.sandbox.bounce(segment.mailchimp_list_id, address("bounces"))
    assert office.erase({"entityId": "erased", "entityType": "employee"})["status"] == "completed"
    assert office.sync(segment)[0].error is None
