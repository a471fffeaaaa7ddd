"""Requests become runs, and stopped runs leave nothing behind."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg
import pytest

from mailchimp_pipeline.database.session import DatabaseAway
from mailchimp_pipeline.defs.assets import AUDIENCE
from mailchimp_pipeline.defs.sensors import cancelled_runs, dead_runs, failed_runs, sync_requests
from mailchimp_pipeline.defs.sync_runs import (
    ORGANISATION_TAG,
    SEGMENTS,
    TRIGGER_TAG,
    SyncConfig,
    scheduled_run,
)
from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.services.stopped_run import StoppedRun
from mailchimp_pipeline.sync.segment_results import SegmentResult, Trigger
from mailchimp_pipeline_tests.defs.pipeline_fake import FakePipeline, a_request, code_location

JOB = "mailchimp_segment_sync"
WAITING = a_request("request-1", "acme/1")
STARTED, STARTING, FAILURE = (
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.FAILURE,
)


@pytest.fixture
def instance() -> Generator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:  # pyright: ignore[reportUnknownMemberType] - Dagster's
        made.add_dynamic_partitions("segments", ["acme/1", "acme/2", "acme/3"])
        yield made


def a_run(  # noqa: PLR0913 - a builder
    instance: dg.DagsterInstance,
    status: dg.DagsterRunStatus = STARTED,
    *,
    job: str = JOB,
    tags: Mapping[str, str] | None = None,
    assets: frozenset[dg.AssetKey] | None = None,
    config: SyncConfig | None = None,
) -> dg.DagsterRun:
    definitions = code_location(FakePipeline())
    return instance.create_run_for_job(
        definitions.resolve_job_def(job),
        status=status,
        tags=tags or {},
        asset_selection=assets,
        run_config=config.run_config.to_config_dict() if config else {},
    )


def range_tags(first: str, last: str) -> dict[str, str]:
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}


def ask(instance: dg.DagsterInstance, pipeline: FakePipeline) -> dg.SensorResult:
    with dg.build_sensor_context(instance=instance, resources={"pipeline": pipeline}) as context:
        result = sync_requests(context)
    assert isinstance(result, dg.SensorResult)
    return result


def look(instance: dg.DagsterInstance, pipeline: FakePipeline, cursor: str | None = None) -> str:
    with dg.build_sensor_context(instance=instance, cursor=cursor, resources={"pipeline": pipeline}) as context:
        dead_runs(context)
        return context.cursor or ""


def statuses(instance: dg.DagsterInstance, runs: Sequence[dg.DagsterRun]) -> list[dg.DagsterRunStatus]:
    found = [instance.get_run_by_id(run.run_id) for run in runs]
    return [run.status for run in found if run]


def runs(instance: dg.DagsterInstance, pipeline: FakePipeline) -> list[tuple[str | None, SyncConfig]]:
    """Return the run requests of a tick: run key and segments."""
    requests = ask(instance, pipeline).run_requests or []
    return [(each.run_key, SyncConfig(**each.run_config["ops"]["sync_segments"]["config"])) for each in requests]


def test_a_request_becomes_a_run_for_its_segment_before_the_daily_ones(instance: dg.DagsterInstance) -> None:
    (request,) = ask(instance, FakePipeline(["acme/1"], requests=[WAITING])).run_requests or []
    assert request.run_key == "acme/request-1"
    assert request.tags.items() >= {TRIGGER_TAG: Trigger.REQUEST, ORGANISATION_TAG: "acme"}.items()
    assert int(request.tags["dagster/priority"]) > int(scheduled_run("", []).tags.get("dagster/priority", 0))


def test_the_requests_of_an_organisation_become_one_run(instance: dg.DagsterInstance) -> None:
    keys = ["acme/1", "globex/1", "acme/2"]
    requests = [a_request(f"request-{number}", key) for number, key in enumerate(keys)]
    assert runs(instance, FakePipeline(keys, requests=requests)) == [
        ("acme/request-0", SyncConfig(segments=["acme/1", "acme/2"], requests=["request-0", "request-2"])),
        ("globex/request-1", SyncConfig(segments=["globex/1"], requests=["request-1"])),
    ]


def test_a_request_that_still_waits_is_the_same_run_at_the_next_tick(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline(["acme/1"], requests=[WAITING])
    keys = [[each.run_key for each in ask(instance, pipeline).run_requests or []] for _ in range(2)]
    assert keys == [["acme/request-1"], ["acme/request-1"]]


@pytest.mark.parametrize("status", [STARTING, STARTED])
def test_an_organisation_has_one_run_for_its_requests_at_a_time(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus
) -> None:
    a_run(instance, status, tags={ORGANISATION_TAG: "acme"}, config=SyncConfig(requests=["request-0"]))
    requests = [WAITING, a_request("request-2", "globex/1")]
    requested_syncs = runs(instance, FakePipeline(["acme/1", "globex/1"], requests=requests))
    assert [key for key, _ in requested_syncs] == ["globex/request-2"]


def test_a_request_of_an_organisation_that_is_not_connected_waits(instance: dg.DagsterInstance) -> None:
    result = ask(instance, FakePipeline(["acme/2"], requests=[WAITING]))
    assert result.run_requests == []


def test_new_segments_become_partitions_before_their_runs(instance: dg.DagsterInstance) -> None:
    result = ask(instance, FakePipeline(["acme/1", "acme/2", "acme/3", "acme/4"]))
    (change,) = result.dynamic_partitions_requests or []
    assert isinstance(change, dg.AddDynamicPartitionsRequest)
    assert change.partition_keys == ["acme/4"]


def test_partitions_of_deleted_segments_are_deleted(instance: dg.DagsterInstance) -> None:
    (change,) = ask(instance, FakePipeline(["acme/2"])).dynamic_partitions_requests or []
    assert isinstance(change, dg.DeleteDynamicPartitionsRequest)
    assert change.partition_keys == ["acme/1", "acme/3"]


def test_partitions_stay_while_a_partitioned_run_may_need_them(
    instance: dg.DagsterInstance,
) -> None:
    run = a_run(instance, STARTING)
    assert ask(instance, FakePipeline(["acme/2"])).dynamic_partitions_requests == []
    instance.report_run_failed(run)
    instance.add_run_tags(run.run_id, {"dagster/will_retry": "true"})
    assert ask(instance, FakePipeline(["acme/2"])).dynamic_partitions_requests == []
    instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": "the-retry"})
    assert len(ask(instance, FakePipeline(["acme/2"])).dynamic_partitions_requests or []) == 1


@pytest.mark.parametrize("trigger", [Trigger.SCHEDULE, Trigger.REQUEST])
def test_runs_that_name_their_segments_need_no_partitions(instance: dg.DagsterInstance, trigger: Trigger) -> None:
    a_run(instance, tags={TRIGGER_TAG: trigger.value}, config=SyncConfig(segments=["acme/1"]))
    assert len(ask(instance, FakePipeline(["acme/2"])).dynamic_partitions_requests or []) == 1


def test_partitions_are_added_over_several_ticks_where_there_are_very_many(instance: dg.DagsterInstance) -> None:
    pipeline = FakePipeline([f"acme/{number}" for number in range(2503)])
    added: list[int] = []
    while changes := ask(instance, pipeline).dynamic_partitions_requests:
        added.append(len(changes[0].partition_keys))
        instance.add_dynamic_partitions("segments", list(changes[0].partition_keys))
    assert added == [1000, 1000, 500]


def test_a_tick_reports_segments_of_dead_processes(
    instance: dg.DagsterInstance, capsys: pytest.CaptureFixture[str]
) -> None:
    result = ask(instance, FakePipeline(["acme/1", "acme/2", "acme/3"], abandoned=2))
    assert "2 segments were syncing in a process that is gone" in capsys.readouterr().err
    assert result.run_requests == []


def test_a_run_without_a_process_fails_at_the_second_look(instance: dg.DagsterInstance) -> None:
    run, pipeline = a_run(instance), FakePipeline()
    cursor = look(instance, pipeline)
    assert (cursor, statuses(instance, [run])) == (run.run_id, [STARTED])
    assert look(instance, pipeline, cursor) == ""
    assert statuses(instance, [run]) == [FAILURE]


def test_a_run_whose_process_came_back_between_two_looks_goes_on(instance: dg.DagsterInstance) -> None:
    run, pipeline = a_run(instance), FakePipeline()
    cursor = look(instance, pipeline)
    pipeline.alive.add(run.run_id)
    assert look(instance, pipeline, cursor) == ""
    assert statuses(instance, [run]) == [STARTED]


def test_a_run_from_the_page_of_the_assets_is_looked_at_as_well(instance: dg.DagsterInstance) -> None:
    run = a_run(instance, job="__ASSET_JOB", assets=frozenset({AUDIENCE}))
    assert look(instance, FakePipeline()) == run.run_id


def test_runs_of_other_jobs_and_runs_that_have_not_begun_are_left_alone(instance: dg.DagsterInstance) -> None:
    a_run(instance, job="mailchimp_freshness")
    a_run(instance, STARTING)
    assert look(instance, FakePipeline()) == ""


def stopped(
    instance: dg.DagsterInstance, run: dg.DagsterRun, sensor: dg.SensorDefinition
) -> list[tuple[StoppedRun, str]]:
    pipeline = FakePipeline()
    event = (
        dg.DagsterEvent(dg.DagsterEventType.RUN_FAILURE.value, run.job_name)
        if sensor is failed_runs
        else dg.DagsterEvent(dg.DagsterEventType.RUN_CANCELED.value, run.job_name)
    )
    context = dg.build_run_status_sensor_context(sensor.name, event, instance, run, resources={"pipeline": pipeline})
    sensor(context.for_run_failure() if sensor is failed_runs else context)
    return pipeline.stopped


def test_a_failed_run_puts_its_range_of_segments_into_error(instance: dg.DagsterInstance) -> None:
    tags = {TRIGGER_TAG: Trigger.SCHEDULE.value, **range_tags("acme/1", "acme/2")}
    run = a_run(instance, tags=tags)
    ((stopped_run, reason),) = stopped(instance, run, failed_runs)
    record = instance.get_run_record_by_id(run.run_id)
    assert record
    assert stopped_run == StoppedRun(run.run_id, ["acme/1", "acme/2"], stopped_run.begun, [], Trigger.SCHEDULE)
    assert (stopped_run.begun, record.start_time) == (record.create_timestamp, None)
    assert reason.startswith(f"Run {run.run_id} failed before it reached this segment.")


@dataclass
class Raising(FakePipeline):
    """A pipeline that fails before the first segment."""

    failure: Exception = field(default_factory=Exception)

    def sync(
        self, keys: Sequence[str], *, run_id: str, push: bool, trigger: Trigger, request_ids: Sequence[str] = ()
    ) -> Iterator[SegmentResult]:
        raise self.failure


def told_of(instance: dg.DagsterInstance, failure: Exception) -> str:
    """Return the error on a segment whose run fails in this way."""
    pipeline = Raising(failure=failure)
    job = code_location(pipeline).resolve_job_def(JOB)
    done = job.execute_in_process(instance=instance, partition_key="acme/1", raise_on_error=False)
    (event,) = [event for event in done.all_events if event.event_type is dg.DagsterEventType.RUN_FAILURE]
    run = instance.get_run_by_id(done.run_id)
    assert run
    resources = {"pipeline": pipeline}
    context = dg.build_run_status_sensor_context(failed_runs.name, event, instance, run, resources=resources)
    failed_runs(context.for_run_failure())
    ((_, reason),) = pipeline.stopped
    return reason


def test_a_run_reports_expected_errors_on_its_segments(instance: dg.DagsterInstance) -> None:
    assert "this segment: No source is set. Ask for a sync" in told_of(instance, PermanentError("No source is set."))
    assert "this segment: It is away. Ask for a sync" in told_of(instance, DatabaseAway("It is away."))


def test_a_run_does_not_report_the_text_of_unexpected_errors(instance: dg.DagsterInstance) -> None:
    assert "this segment. Ask for a sync" in told_of(instance, ValueError("Ada Byron"))
    lookalike = ValueError("mailchimp_pipeline.errors.PermanentError: Ada Byron")
    assert "this segment. Ask for a sync" in told_of(instance, lookalike)


def test_a_cancelled_run_ends_the_requests_that_it_served(instance: dg.DagsterInstance) -> None:
    run = a_run(instance, config=SyncConfig(segments=["acme/1", "acme/2"], requests=["request-1", "request-2"]))
    ((stopped_run, reason),) = stopped(instance, run, cancelled_runs)
    assert (stopped_run.id, stopped_run.keys, stopped_run.request_ids) == (
        run.run_id,
        ["acme/1", "acme/2"],
        ["request-1", "request-2"],
    )
    assert "was cancelled" in reason


def test_dagster_shows_unprocessed_segments_of_a_failed_run_as_failed(instance: dg.DagsterInstance) -> None:
    run = a_run(instance, config=SyncConfig(segments=["acme/1", "acme/2"]))
    instance.report_run_failed(run)
    stopped(instance, run, failed_runs)
    shown = instance.get_status_by_partition(AUDIENCE, ["acme/1", "acme/2", "acme/3"], SEGMENTS)
    assert {key: status and status.value for key, status in (shown or {}).items()} == {
        "acme/1": "FAILED",
        "acme/2": "FAILED",
        "acme/3": None,
    }


def test_a_failed_run_of_another_job_is_not_about_segments(instance: dg.DagsterInstance) -> None:
    assert stopped(instance, a_run(instance, job="mailchimp_freshness"), failed_runs) == []


def test_a_range_whose_partitions_are_gone_has_no_segments(instance: dg.DagsterInstance) -> None:
    run = a_run(instance, tags=range_tags("acme/1", "acme/2"))
    instance.delete_dynamic_partition("segments", "acme/2")
    ((stopped_run, _),) = stopped(instance, run, failed_runs)
    assert stopped_run.keys == []


def test_a_run_without_partitions_has_no_segments(instance: dg.DagsterInstance) -> None:
    ((stopped_run, _),) = stopped(instance, a_run(instance), cancelled_runs)
    assert stopped_run.keys == []
