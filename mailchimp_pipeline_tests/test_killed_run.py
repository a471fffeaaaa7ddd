"""The whole pipeline with Dagster's daemon, and a run that is killed in the middle of its push."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from sqlalchemy import select

from mailchimp_pipeline.assembly import DatabasePipeline, open_pipeline
from mailchimp_pipeline.database.connections import Account, ConnectionStore
from mailchimp_pipeline.database.requests import RequestStatus, SyncRequest, SyncRequestStore
from mailchimp_pipeline.database.segments import SegmentStore
from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.local_stack import LocalStack, free_port, local_stack, workspace_arguments
from mailchimp_pipeline.sandbox import SandboxControl, Status
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, AT, LIST, a_segment
from mailchimp_pipeline_tests.runs.company import write_relations
from mailchimp_pipeline_tests.source_fake import an_employee

PEOPLE = 2100
"""Four full batches and a small one, whose answer comes well before theirs."""

UNDER_WAY = 4 * 500

PATIENCE_SECONDS = 240


@dataclass(frozen=True)
class Running:
    """The pipeline as it runs, with one segment of which a sync was asked for."""

    stack: LocalStack
    pipeline: DatabasePipeline
    sandbox: SandboxControl
    segment_id: str
    request_id: str

    def written(self) -> set[str]:
        """Return who was written down as pushed."""
        with self.pipeline.parts.database.organisation(ACME) as session:
            return set(session.scalars(select(AudienceMemberRow.subscriber_hash)))

    def status(self) -> SegmentStatus | None:
        """Return the segment's status."""
        with self.pipeline.parts.database.organisation(ACME) as session:
            segment = SegmentStore(session).get(self.segment_id)
        return segment and segment.status

    def request(self) -> SyncRequest | None:
        """Return the request."""
        with self.pipeline.parts.database.organisation(ACME) as session:
            return SyncRequestStore(session).get(self.request_id)

    def sent(self) -> dict[str, int]:
        """Return how often each contact was sent."""
        sent = self.sandbox.call("sent", list_id=LIST)
        assert isinstance(sent, dict)
        return sent  # pyright: ignore[reportUnknownVariableType] - JSON

    def kill_the_run(self) -> None:
        """Kill the process of the run, which the code server has forked off."""
        mine = psutil.Process().children(recursive=True)
        (run,) = [process for process in mine if "multiprocessing.spawn" in " ".join(process.cmdline())]
        run.kill()
        run.wait()


@contextmanager
def running(home: Path) -> Generator[Running]:
    write_relations(home / "files", [an_employee(id=str(n), email=f"p{n}@acme.test") for n in range(PEOPLE)])
    settings = Settings.from_environment(
        {
            "MAILCHIMP_PIPELINE_HOME": str(home),
            "MAILCHIMP_PIPELINE_SOURCE": str(home / "files"),
            "MAILCHIMP_PIPELINE_SANDBOX_PORT": str(free_port()),
        }
    )
    with local_stack(settings) as stack, open_pipeline(stack.settings) as pipeline:
        stack.start("dagster-daemon", "dagster-daemon", "run", *workspace_arguments())
        with SandboxControl(stack.sandbox_url or "") as sandbox:
            yield Running(stack, pipeline, sandbox, *ask(pipeline, sandbox))


def ask(pipeline: DatabasePipeline, sandbox: SandboxControl) -> tuple[str, str]:
    """Connect the organisation, make a segment and ask for a sync; return the ids of segment and request."""
    sandbox.configure(latency_ms=200, latency_per_contact_ms=4)
    account_id = sandbox.add_account(API_KEY.reveal())
    sandbox.add_audience(account_id, "Staff", LIST)
    with pipeline.parts.database.organisation(ACME) as session:
        ConnectionStore(session, pipeline.parts.keyring).connect(Account(account_id, "Acme", API_KEY), by="ann", at=AT)
    segment = a_segment(pipeline.parts.database)
    with pipeline.parts.database.organisation(ACME) as session:
        request = SyncRequestStore(session).ask(segment.id, by="ann", at=AT)
    assert request
    return segment.id, request.id


def wait_until(is_so: Callable[[], bool], stack: LocalStack) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        stack.children.check()
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_killed_in_the_middle_of_its_push_is_taken_up_again_and_sends_nobody_twice() -> None:
    with TemporaryDirectory(prefix="killed-", ignore_cleanup_errors=True) as home, running(Path(home)) as it:
        wait_until(lambda: bool(it.written()), it.stack)
        it.kill_the_run()
        written, received = it.written(), it.sandbox.counts().total.contacts_received
        assert 0 < len(written) < PEOPLE
        assert received - len(written) <= UNDER_WAY
        it.sandbox.configure(latency_ms=0, latency_per_contact_ms=0)

        wait_until(lambda: it.status() is SegmentStatus.SYNCED, it.stack)
        wait_until(lambda: (asked := it.request()) is not None and asked.status is RequestStatus.DONE, it.stack)
        sent = it.sent()
        assert it.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
        assert {sent[subscriber_hash] for subscriber_hash in written} == {1}
        assert sum(sent.values()) - PEOPLE <= UNDER_WAY
