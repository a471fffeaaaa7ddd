"""Real syncs of what the dashboard requested, as a run of Dagster does them."""

from collections.abc import Generator
from contextlib import contextmanager
from itertools import count
from threading import Thread

from mailchimp_pipeline.database.sync_request_store import SyncRequest
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.sync.segment_results import Trigger
from mailchimp_pipeline_tests.api.procedures.stage import Tenant
from mailchimp_pipeline_tests.waiting import eventually
from sandbox import Fault, FaultKind

_runs = count(1)


def sync(tenant: Tenant, segment_id: str) -> None:
    """Sync a segment that nobody requested, as the schedule does."""
    key = f"{tenant.organisation_id}/{segment_id}"
    list(Pipeline(tenant.stage.parts).sync([key], run_id=f"run-{next(_runs)}", push=True, trigger=Trigger.SCHEDULE))


def sync_what_was_requested(tenant: Tenant) -> None:
    """Wait for a request of the organisation, and do the sync."""
    pipeline = Pipeline(tenant.stage.parts)
    asked = eventually(lambda: _requests(pipeline, tenant))
    keys = [request.partition_key for request in asked]
    ids, run_id = [request.id for request in asked], f"run-{next(_runs)}"
    list(pipeline.sync(keys, run_id=run_id, push=True, trigger=Trigger.REQUEST, request_ids=ids))


@contextmanager
def a_sync_held_at_mailchimp(tenant: Tenant) -> Generator[None]:
    """Do the requested sync meanwhile. Mailchimp answers its first batch at the end of the block."""
    sandbox = tenant.stage.sandbox
    sandbox.add_fault(Fault(kind=FaultKind.HELD, method="POST", route="/lists/{list_id}", times=1))
    running = Thread(target=sync_what_was_requested, args=[tenant])
    running.start()
    try:
        yield
    finally:
        sandbox.clear_faults()
        running.join()


def _requests(pipeline: Pipeline, tenant: Tenant) -> list[SyncRequest]:
    return [each for each in pipeline.open_requests() if each.organisation_id == tenant.organisation_id]
