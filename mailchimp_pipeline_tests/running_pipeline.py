"""A running pipeline with Dagster's daemon, and a run that waits for Mailchimp after its first batch."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
from sqlalchemy import select

from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.database.segment_store import NewSegment, SegmentStore
from mailchimp_pipeline.database.sync_request_store import RequestStatus, SyncRequest, SyncRequestStore
from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.defs.jobs import segment_sync
from mailchimp_pipeline.defs.schedules import opened_instance
from mailchimp_pipeline.local.stack import SandboxStack, free_port, sandbox_stack, workspace_arguments
from mailchimp_pipeline.segments import SegmentStatus, SegmentType
from mailchimp_pipeline.services.pipeline import Pipeline, open_pipeline
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, AT, LIST, a_segment
from mailchimp_pipeline_tests.runs.company import write_relations
from mailchimp_pipeline_tests.source_fake import an_employee
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, TIMEOUT_SECONDS, eventually
from sandbox import Fault, FaultKind, SandboxControl

PEOPLE = 2100
"""Four full batches and a small one."""

HELD_CONTACTS = 4 * 500
"""The contacts in batches that Mailchimp holds."""

_OF_SEGMENT_SYNC = dg.RunsFilter(job_name=segment_sync.name)

LAST_LIST = "f" * 10
"""A run processes the audiences of an organisation in the order of their ids."""


@dataclass(frozen=True)
class RunningPipeline:
    """A running pipeline with sync requests for two segments, the second one empty."""

    stack: SandboxStack
    pipeline: Pipeline
    sandbox: SandboxControl
    segment_id: str
    request_id: str
    empty_segment_id: str

    def recorded_hashes(self) -> set[str]:
        """Return the subscriber hashes that the ledger records as pushed."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            return set(session.scalars(select(AudienceMemberRow.subscriber_hash)))

    def status(self) -> SegmentStatus | None:
        with self.pipeline.resources.database.organisation(ACME) as session:
            segment = SegmentStore(session).get(self.segment_id)
        return segment and segment.status

    def request(self) -> SyncRequest | None:
        with self.pipeline.resources.database.organisation(ACME) as session:
            return SyncRequestStore(session).get(self.request_id)

    def is_synced(self) -> bool:
        """Return whether the segment is synced and the request done."""
        request = self.request()
        return self.status() is SegmentStatus.SYNCED and request is not None and request.status is RequestStatus.DONE

    def send_counts(self) -> dict[str, int]:
        """Return how often each contact was sent."""
        sent = self.sandbox.call("sent", list_id=LIST)
        assert isinstance(sent, dict)
        return sent  # pyright: ignore[reportUnknownVariableType] - JSON

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait until the condition is true. Fail if a child process of the stack ends."""

        def condition_while_running() -> object:
            self.stack.children.check()
            return condition()

        eventually(condition_while_running, START_TIMEOUT_SECONDS)

    def wait_for_first_batch(self) -> set[str]:
        """Wait until the first batch is recorded, while Mailchimp holds the others. Return its subscriber hashes."""
        self.wait_until(self.recorded_hashes)
        return self.recorded_hashes()

    def delete_empty_segment(self) -> None:
        """Delete the second segment, before the run processes it."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            assert SegmentStore(session).delete(self.empty_segment_id, by="ann", at=AT)

    def runs(self) -> list[tuple[str, set[str]]]:
        """Return the status and the materialized segments of each `mailchimp_segment_sync` run, latest first."""
        with self._instance() as instance:
            return [
                (run.status.value, _materialized(instance, run.run_id)) for run in instance.get_runs(_OF_SEGMENT_SYNC)
            ]

    def release_mailchimp(self) -> None:
        """Release the held Mailchimp calls."""
        self.sandbox.call("clear_faults")

    def kill_run(self) -> None:
        """Kill the process of the `mailchimp_segment_sync` run. Other jobs may have runs of their own."""
        with self._instance() as instance:
            (run,) = instance.get_runs(_OF_SEGMENT_SYNC)
            process = psutil.Process(_pid(instance, run.run_id))
        process.kill()
        process.wait(TIMEOUT_SECONDS)

    def _instance(self) -> AbstractContextManager[dg.DagsterInstance]:
        storage = self.stack.settings.dagster_postgres_url
        assert storage
        return opened_instance(str(self.stack.dagster_home), storage.get_secret_value())


@contextmanager
def running_pipeline(home: Path) -> Generator[RunningPipeline]:
    """Yield the pipeline with a run that waits after its first batch until `release_mailchimp`."""
    write_relations(home / "files", [an_employee(id=str(n), email=f"p{n}@acme.test") for n in range(PEOPLE)])
    settings = Settings.from_environment(
        {
            "MAILCHIMP_PIPELINE_HOME": str(home),
            "MAILCHIMP_PIPELINE_SOURCE": str(home / "files"),
            "MAILCHIMP_PIPELINE_SANDBOX_PORT": str(free_port()),
        }
    )
    with sandbox_stack(settings) as stack, open_pipeline(stack.settings) as pipeline:
        # Dagster's processes may fail if two of them create its tables at once, so create the tables first.
        storage = stack.settings.dagster_postgres_url
        assert storage
        with opened_instance(str(stack.dagster_home), storage.get_secret_value()) as instance:
            assert instance.schedule_storage
        stack.start("dagster-daemon", "dagster-daemon", "run", *workspace_arguments())
        with SandboxControl(stack.sandbox_url) as sandbox:
            yield RunningPipeline(stack, pipeline, sandbox, *_request_syncs(pipeline, sandbox))


def _pid(instance: dg.DagsterInstance, run_id: str) -> int:
    started = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    metadata = [entry.dagster_event.engine_event_data.metadata for entry in started if entry.dagster_event]
    (pid,) = {int(str(each["pid"].value)) for each in metadata if "pid" in each}
    return pid


def _materialized(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    materialized = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    keys = [entry.dagster_event.partition for entry in materialized if entry.dagster_event]
    return {key.rpartition("/")[2] for key in keys if key}


def _request_syncs(pipeline: Pipeline, sandbox: SandboxControl) -> tuple[str, str, str]:
    """Connect the organisation, create two segments and request their sync.

    Return the ids of the first segment, its request, and the second segment.
    """
    sandbox.add_fault(Fault(kind=FaultKind.HELD, method="POST", route="/lists/{list_id}", skip=1))
    account_id = sandbox.add_account(API_KEY.reveal())
    sandbox.add_audience(account_id, "Staff", LIST)
    sandbox.add_audience(account_id, "Vendors", LAST_LIST)
    with pipeline.resources.database.organisation(ACME) as session:
        ConnectionStore(session, pipeline.resources.keyring).connect(
            Account(account_id, "Acme", API_KEY), by="ann", at=AT
        )
    segment = a_segment(pipeline.resources.database)
    with pipeline.resources.database.organisation(ACME) as session:
        vendors = NewSegment("Vendors", SegmentType.VENDOR, LAST_LIST)
        empty = SegmentStore(session).create(vendors, by="ann", at=AT)
        request, _ = (SyncRequestStore(session).ask(each.id, by="ann", at=AT) for each in (segment, empty))
    assert request
    return segment.id, request.id, empty.id
