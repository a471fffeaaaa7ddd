"""Requests that their run left open: ended with a reason, and none that a run may still end."""

from collections.abc import Generator, Mapping
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.storage.tags import WILL_RETRY_TAG

from mailchimp_pipeline.defs.assets import REQUEST_TAG
from mailchimp_pipeline.defs.sensors import sync_requests
from mailchimp_pipeline.defs.stranded import GRACE
from mailchimp_pipeline.runs.pipeline import StoppedRun, SyncRequest
from mailchimp_pipeline_tests.defs.pipeline_fake import AT, FakePipeline, location

WAITING = SyncRequest("request-1", "acme/1")


@pytest.fixture
def instance() -> Generator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:  # pyright: ignore[reportUnknownMemberType] - Dagster's
        made.add_dynamic_partitions("segments", ["acme/1"])
        yield made


def a_run(instance: dg.DagsterInstance, *, failed: bool, tags: Mapping[str, str] | None = None) -> dg.DagsterRun:
    """Return a run that serves the request."""
    run = instance.create_run_for_job(
        location(FakePipeline()).resolve_job_def("mailchimp_segment_sync"),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": "acme/1", REQUEST_TAG: WAITING.id, **(tags or {})},
    )
    if failed:
        instance.report_run_failed(run, "The step failed.")
    return run


def running(run_id: str) -> SyncRequest:
    return SyncRequest(WAITING.id, WAITING.partition_key, run_id, AT)


def ended(
    instance: dg.DagsterInstance, *requests: SyncRequest, later: bool = True, alive: str = ""
) -> list[tuple[StoppedRun, str]]:
    """Return what a tick ends of the requests, some time after their runs."""
    pipeline = FakePipeline(
        ["acme/1"],
        requests=[request for request in requests if not request.run_id],
        running=[request for request in requests if request.run_id],
        time=datetime.now(UTC) + (GRACE if later else GRACE / 2),
        alive={alive},
    )
    with dg.build_sensor_context(instance=instance, resources={"pipeline": pipeline}) as context:
        sync_requests(context)
    return pipeline.stopped


def test_a_request_whose_run_failed_while_nobody_could_note_it_is_ended(instance: dg.DagsterInstance) -> None:
    run = a_run(instance, failed=True)
    ((stopped, reason),) = ended(instance, WAITING)
    assert (stopped.id, stopped.keys, stopped.request_id) == (run.run_id, ["acme/1"], WAITING.id)
    assert reason.startswith(f"Run {run.run_id} is over, and how it ended could not be noted")


def test_whoever_knows_the_reason_has_time_to_tell_it(instance: dg.DagsterInstance) -> None:
    a_run(instance, failed=True)
    assert ended(instance, WAITING, later=False) == []


def test_a_run_that_is_under_way_or_to_be_tried_again_ends_its_request_itself(instance: dg.DagsterInstance) -> None:
    a_run(instance, failed=True, tags={WILL_RETRY_TAG: "true"})
    assert ended(instance, WAITING) == []
    a_run(instance, failed=True)
    retry = a_run(instance, failed=False)
    assert ended(instance, running(retry.run_id)) == []


def test_a_request_out_of_a_restored_database_is_ended_by_the_run_that_it_knows(instance: dg.DagsterInstance) -> None:
    a_run(instance, failed=True)
    ((stopped, _),) = ended(instance, running("run-of-before"))
    assert stopped == StoppedRun("run-of-before", ["acme/1"], AT, WAITING.id)


def test_a_request_whose_run_dagster_does_not_know_is_ended_unless_that_is_at_work(
    instance: dg.DagsterInstance,
) -> None:
    assert ended(instance, running("run-of-before"), alive="run-of-before") == []
    ((stopped, _),) = ended(instance, running("run-of-before"))
    assert stopped.id == "run-of-before"


def test_a_request_that_has_had_no_run_waits_for_one(instance: dg.DagsterInstance) -> None:
    assert ended(instance, WAITING) == []
