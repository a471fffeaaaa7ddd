"""The whole pipeline as it runs with Dagster's daemon, and a run that serves requests, in its midst.

What does not belong here: what is killed meanwhile.
"""

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
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS, START_SECONDS, eventually
from sandbox import Fault, FaultKind, SandboxControl

PEOPLE = 2100
"""Four full batches and a small one."""

UNDER_WAY = 4 * 500
"""One batch is answered, the others are held."""

_OF_SEGMENT_SYNC = dg.RunsFilter(job_name=segment_sync.name)

LAST_LIST = "f" * 10
"""A run does the audiences of an organisation in the order of their ids."""


@dataclass(frozen=True)
class Running:
    """The pipeline as it runs, with a segment whose sync was requested, and with it that of an empty one."""

    stack: SandboxStack
    pipeline: Pipeline
    sandbox: SandboxControl
    segment_id: str
    request_id: str
    empty_segment_id: str

    def written(self) -> set[str]:
        """Return who was written down as pushed."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            return set(session.scalars(select(AudienceMemberRow.subscriber_hash)))

    def status(self) -> SegmentStatus | None:
        """Return the segment's status."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            segment = SegmentStore(session).get(self.segment_id)
        return segment and segment.status

    def request(self) -> SyncRequest | None:
        """Return the request."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            return SyncRequestStore(session).get(self.request_id)

    def is_done(self) -> bool:
        """Whether the segment is synced, and its request says so."""
        request = self.request()
        return self.status() is SegmentStatus.SYNCED and request is not None and request.status is RequestStatus.DONE

    def sent(self) -> dict[str, int]:
        """Return how often each contact was sent."""
        sent = self.sandbox.call("sent", list_id=LIST)
        assert isinstance(sent, dict)
        return sent  # pyright: ignore[reportUnknownVariableType] - JSON

    def wait_until(self, is_so: Callable[[], object]) -> None:
        """Wait until it is so, as long as nothing ends that should not."""

        def is_so_and_all_run() -> object:
            self.stack.children.check()
            return is_so()

        eventually(is_so_and_all_run, START_SECONDS)

    def wait_for_the_first_batch(self) -> set[str]:
        """Wait until one batch was written down, while Mailchimp holds the others; return who was in it."""
        self.wait_until(self.written)
        return self.written()

    def delete_the_empty_segment(self) -> None:
        """Delete the segment that the run has not come to, as its organisation does."""
        with self.pipeline.resources.database.organisation(ACME) as session:
            assert SegmentStore(session).delete(self.empty_segment_id, by="ann", at=AT)

    def runs(self) -> list[tuple[str, set[str]]]:
        """Return the status of each run of `mailchimp_segment_sync`, latest first, and the segments it materialized."""
        with self._instance() as instance:
            return [
                (run.status.value, _materialized(instance, run.run_id)) for run in instance.get_runs(_OF_SEGMENT_SYNC)
            ]

    def let_go(self) -> None:
        """Let Mailchimp answer what it holds, and what comes."""
        self.sandbox.call("clear_faults")

    def kill_the_run(self) -> None:
        """Kill the process of the run of `mailchimp_segment_sync`: other jobs may have runs of their own."""
        with self._instance() as instance:
            (run,) = instance.get_runs(_OF_SEGMENT_SYNC)
            process = psutil.Process(_pid(instance, run.run_id))
        process.kill()
        process.wait(PATIENCE_SECONDS)

    def _instance(self) -> AbstractContextManager[dg.DagsterInstance]:
        storage = self.stack.settings.dagster_postgres_url
        assert storage
        return opened_instance(str(self.stack.dagster_home), storage.get_secret_value())


@contextmanager
def running(home: Path) -> Generator[Running]:
    """Yield the pipeline, with a run that will not get beyond its first batch until it is let go."""
    write_relations(home / "files", [an_employee(id=str(n), email=f"p{n}@acme.test") for n in range(PEOPLE)])
    settings = Settings.from_environment(
        {
            "MAILCHIMP_PIPELINE_HOME": str(home),
            "MAILCHIMP_PIPELINE_SOURCE": str(home / "files"),
            "MAILCHIMP_PIPELINE_SANDBOX_PORT": str(free_port()),
        }
    )
    with sandbox_stack(settings) as stack, open_pipeline(stack.settings) as pipeline:
        # Two of Dagster's processes that make its tables at once may fail: they are there before any of them starts.
        storage = stack.settings.dagster_postgres_url
        assert storage
        with opened_instance(str(stack.dagster_home), storage.get_secret_value()) as instance:
            assert instance.schedule_storage
        stack.start("dagster-daemon", "dagster-daemon", "run", *workspace_arguments())
        with SandboxControl(stack.sandbox_url) as sandbox:
            yield Running(stack, pipeline, sandbox, *_ask(pipeline, sandbox))


def _pid(instance: dg.DagsterInstance, run_id: str) -> int:
    started = instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    metadata = [entry.dagster_event.engine_event_data.metadata for entry in started if entry.dagster_event]
    (pid,) = {int(str(each["pid"].value)) for each in metadata if "pid" in each}
    return pid


def _materialized(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    materialized = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    keys = [entry.dagster_event.partition for entry in materialized if entry.dagster_event]
    return {key.rpartition("/")[2] for key in keys if key}


def _ask(pipeline: Pipeline, sandbox: SandboxControl) -> tuple[str, str, str]:
    """Connect the organisation, make two segments and request their sync.

    Return the ids of the segment that the run does first, of its request, and of the other segment.
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
