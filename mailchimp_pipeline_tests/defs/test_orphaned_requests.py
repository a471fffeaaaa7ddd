"""Requests that their run left open end with a reason, except those that a run may still end."""

from collections.abc import Generator, Mapping
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.storage.tags import WILL_RETRY_TAG

from mailchimp_pipeline.database.sync_request_store import SyncRequest
from mailchimp_pipeline.defs.sensors import GRACE, sync_requests
from mailchimp_pipeline.defs.sync_runs import ORGANISATION_TAG, SyncConfig
from mailchimp_pipeline.services.stopped_run import StoppedRun
from mailchimp_pipeline.sync.segment_results import Trigger
from mailchimp_pipeline_tests.defs.pipeline_fake import AT, FakePipeline, a_request, code_location

WAITING = a_request("request-1", "acme/1")


@pytest.fixture
def instance() -> Generator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:  # pyright: ignore[reportUnknownMemberType] - Dagster's
        made.add_dynamic_partitions("segments", ["acme/1", "acme/2"])
        yield made


def a_run(
    instance: dg.DagsterInstance, *, failed: bool, tags: Mapping[str, str] | None = None, requests: str = WAITING.id
) -> dg.DagsterRun:
    """Return a run that serves these requests."""
    config = SyncConfig(segments=["acme/1"], requests=requests.split())
    run = instance.create_run_for_job(
        code_location(FakePipeline()).resolve_job_def("mailchimp_segment_sync"),
        status=dg.DagsterRunStatus.STARTED,
        run_config=config.run_config.to_config_dict(),
        tags={ORGANISATION_TAG: "acme", **(tags or {})},
    )
    if failed:
        instance.report_run_failed(run, "The step failed.")
    return run


def running(run_id: str) -> SyncRequest:
    return a_request(WAITING.id, WAITING.partition_key, run_id)


def tick(
    instance: dg.DagsterInstance, *requests: SyncRequest, later: bool = True, alive: str = ""
) -> tuple[list[tuple[StoppedRun, str]], list[str | None]]:
    """Return the requests that a tick ends some time after their runs, and the run keys that it requests."""
    time = datetime.now(UTC) + (GRACE if later else GRACE / 2)
    pipeline = FakePipeline(["acme/1", "acme/2"], requests=requests, time=time, alive={alive})
    with dg.build_sensor_context(instance=instance, resources={"pipeline": pipeline}) as context:
        result = sync_requests(context)
    assert isinstance(result, dg.SensorResult)
    return pipeline.stopped, [request.run_key for request in result.run_requests or []]


def ended(
    instance: dg.DagsterInstance, *requests: SyncRequest, later: bool = True, alive: str = ""
) -> list[tuple[StoppedRun, str]]:
    return tick(instance, *requests, later=later, alive=alive)[0]


def test_a_request_ends_after_an_unrecorded_failure_of_its_run(instance: dg.DagsterInstance) -> None:
    run = a_run(instance, failed=True)
    ((stopped, reason),) = ended(instance, WAITING)
    assert (stopped.id, stopped.keys, stopped.request_ids) == (run.run_id, ["acme/1"], [WAITING.id])
    assert reason.startswith(f"Run {run.run_id} is over, and how it ended could not be recorded")


def test_a_run_has_time_to_report_its_reason_before_its_request_ends(
    instance: dg.DagsterInstance,
) -> None:
    run = a_run(instance, failed=True)
    for request in (WAITING, running(run.run_id)):
        assert tick(instance, request, later=False) == ([], [])


def test_a_new_request_waits_until_those_of_the_run_before_are_ended(instance: dg.DagsterInstance) -> None:
    a_run(instance, failed=True)
    new = a_request("request-2", "acme/2")
    assert tick(instance, WAITING, new, later=False) == ([], [])
    assert tick(instance, new) == ([], ["acme/request-2"])


def test_a_run_that_is_under_way_or_to_be_tried_again_ends_its_request_itself(instance: dg.DagsterInstance) -> None:
    a_run(instance, failed=True, tags={WILL_RETRY_TAG: "true"})
    assert tick(instance, WAITING) == ([], [])
    retry = a_run(instance, failed=False)
    assert tick(instance, running(retry.run_id)) == ([], [])


def test_a_request_from_a_restored_database_ends_with_its_recorded_run(instance: dg.DagsterInstance) -> None:
    a_run(instance, failed=True)
    ((stopped, _),) = ended(instance, running("run-of-before"))
    assert stopped == StoppedRun("run-of-before", ["acme/1"], AT, [WAITING.id], Trigger.REQUEST)


def test_a_request_whose_run_dagster_does_not_know_is_ended_unless_that_is_at_work(
    instance: dg.DagsterInstance,
) -> None:
    assert ended(instance, running("run-of-before"), alive="run-of-before") == []
    ((stopped, _),) = ended(instance, running("run-of-before"))
    assert stopped.id == "run-of-before"


def test_a_request_that_has_had_no_run_gets_one(instance: dg.DagsterInstance) -> None:
    a_run(instance, failed=True, requests="request-0")
    assert tick(instance, WAITING) == ([], [f"acme/{WAITING.id}"])
