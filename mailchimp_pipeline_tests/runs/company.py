"""An organisation with its own database, source files and sandbox account."""

import csv
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mailchimp_pipeline.contacts import RELATION_COLUMNS
from mailchimp_pipeline.database.connection_store import Account, Connection, ConnectionStore
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.sync_request_store import SyncRequest, SyncRequestStore
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.services.pipeline import Pipeline, open_pipeline
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline.sync.segment_results import SegmentResult
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, AT, LIST, a_segment
from mailchimp_pipeline_tests.source_fake import Row, an_employee, backdate
from sandbox import Sandbox

KEYS = "1:" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="


@dataclass(frozen=True)
class Company:
    """The connected organisation Acme with one audience and one segment."""

    pipeline: Pipeline
    sandbox: Sandbox
    files: Path
    segment: Segment
    run_ids: list[str] = field(default_factory=list[str])

    def set_employees(self, *employees: Row) -> None:
        """Replace all employees."""
        write_relations(self.files, employees)

    def sync(self, request: SyncRequest | None = None, *, push: bool = True) -> SegmentResult:
        """Run a sync of the segment."""
        self.run_ids.append(f"run-{len(self.run_ids) + 1}")
        keys, request_ids = [self.segment.partition_key], [request.id] if request else []
        (result,) = self.pipeline.sync(keys, run_id=self.run_ids[-1], push=push, request_ids=request_ids)
        return result

    def request_sync(self, *, departures_confirmed: bool = False) -> SyncRequest:
        """Request a sync, as a user does."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            store = SyncRequestStore(session)
            request = store.ask(self.segment.id, by="alice", at=AT, departures_confirmed=departures_confirmed)
        assert request
        return request

    def stored_segment(self) -> Segment:
        """Return the stored segment."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            segment = SegmentStore(session).get(self.segment.id)
        assert segment
        return segment

    def connection(self) -> Connection:
        """Return the stored connection."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            found = ConnectionStore(session, self.pipeline.resources.keyring).live()
        assert found
        return found

    def stored_request(self, request: SyncRequest) -> SyncRequest:
        """Return the stored request."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            found = SyncRequestStore(session).get(request.id)
        assert found
        return found


@contextmanager
def a_company(database_url: str, files: Path) -> Generator[Company]:
    """Yield the organisation."""
    write_relations(files, [an_employee(id=str(number), email=f"p{number}@acme.test") for number in range(3)])
    with Sandbox.running() as sandbox:
        account_id = sandbox.add_account(API_KEY.reveal())
        sandbox.add_audience(account_id, "Staff", LIST)
        settings = Settings.from_environment(
            {
                "MAILCHIMP_PIPELINE_DATABASE_URL": database_url,
                "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS,
                "MAILCHIMP_PIPELINE_SOURCE": str(files),
                "MAILCHIMP_API_ROOT": sandbox.api_root,
            }
        )
        with open_pipeline(settings) as pipeline:
            with pipeline.resources.database.organisation(ACME) as session:
                account = Account(account_id, "Acme Ltd", API_KEY)
                ConnectionStore(session, pipeline.resources.keyring).connect(account, by="alice", at=AT)
            yield Company(pipeline, sandbox, files, a_segment(pipeline.resources.database))


def write_relations(files: Path, employees: Sequence[Row], vendors: Sequence[Row] = ()) -> None:
    """Write the source files."""
    files.mkdir(exist_ok=True)
    for name, rows in (("employees.csv", employees), ("vendors.csv", vendors)):
        with (files / name).open("w", newline="", encoding="utf-8") as file:
            writer: csv.DictWriter[str] = csv.DictWriter(file, RELATION_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        backdate(files / name)
