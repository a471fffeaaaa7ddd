"""Retention of Dagster's runs, without a change to what Dagster shows of assets and partitions."""

from collections.abc import Generator, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import copyfile

import dagster as dg
import pytest

from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.defs.assets import AUDIENCE, MEMBERSHIP
from mailchimp_pipeline.defs.retention import RunCounts, delete_runs, mailchimp_retention
from mailchimp_pipeline.defs.schedules import opened_instance
from mailchimp_pipeline.defs.sync_runs import SEGMENTS, SyncConfig
from mailchimp_pipeline.services.apply_retention import ApplyRetention
from mailchimp_pipeline.settings import PROJECT_ROOT
from mailchimp_pipeline.sync.segment_results import SegmentResult
from mailchimp_pipeline_tests.defs.pipeline_fake import FakePipeline, a_segment, code_location
from mailchimp_pipeline_tests.defs.test_location import dagsters

KEYS = ("acme/1", "acme/2", "globex/3")
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def instance() -> Generator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:  # pyright: ignore[reportUnknownMemberType] - Dagster's
        made.add_dynamic_partitions("segments", list(KEYS))
        yield made


def sync(instance: dg.DagsterInstance, *keys: str, failing_partitions: Iterable[str] = ()) -> str:
    """Sync these segments in a run and return its id."""
    results = {key: SegmentResult(a_segment(key), error="The key is refused.") for key in failing_partitions}
    result = (
        code_location(FakePipeline(results=results))
        .resolve_job_def("mailchimp_scheduled_sync")
        .execute_in_process(
            instance=instance, run_config=SyncConfig(segments=list(keys)).run_config, raise_on_error=False
        )
    )
    assert result.success is not bool(results)
    return result.run_id


def a_run(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> str:
    job = code_location(FakePipeline()).resolve_job_def("mailchimp_freshness")
    return instance.create_run_for_job(job, status=status).run_id


def later() -> datetime:
    """Return a time after the end of all runs."""
    return datetime.now(UTC) + DAY


def run_ids(instance: dg.DagsterInstance) -> set[str]:
    return {run.run_id for run in instance.get_runs()}


def shown(instance: dg.DagsterInstance, asset: dg.AssetKey = AUDIENCE) -> dict[str, str | None]:
    statuses = instance.get_status_by_partition(asset, list(KEYS), SEGMENTS)
    return {key: status and status.value for key, status in (statuses or {}).items()}


def ended_at(instance: dg.DagsterInstance, run_id: str) -> datetime:
    record = instance.get_run_record_by_id(run_id)
    assert record
    return record.update_timestamp


def check_that_the_last_runs_stay(instance: dg.DagsterInstance) -> None:
    """Sync three segments in five runs, delete old runs, and check that Dagster shows the same."""
    superseded = sync(instance, *KEYS)
    last_of_globex = sync(instance, "acme/1", "globex/3")
    failed_and_superseded = sync(instance, "acme/1", "acme/2", failing_partitions=["acme/2"])
    last_that_failed = sync(instance, "acme/1", "acme/2", failing_partitions=["acme/2"])
    last_of_acme_1 = sync(instance, "acme/1")
    before = [shown(instance, asset) for asset in (MEMBERSHIP, AUDIENCE)]
    assert before[1] == {"acme/1": "MATERIALIZED", "acme/2": "FAILED", "globex/3": "MATERIALIZED"}

    # The first run has the last materialization of acme/2, whose later syncs failed.
    assert delete_runs(instance, later()) == RunCounts(deleted=1, kept=4, left=0)
    assert run_ids(instance) == {superseded, last_of_globex, last_that_failed, last_of_acme_1}
    assert instance.all_logs(failed_and_superseded) == []
    assert [shown(instance, asset) for asset in (MEMBERSHIP, AUDIENCE)] == before
    assert instance.get_materialized_partitions(AUDIENCE) == set(KEYS)

    last_of_acme_2 = sync(instance, "acme/2")
    assert delete_runs(instance, later()) == RunCounts(deleted=2, kept=3, left=0)
    assert run_ids(instance) == {last_of_globex, last_of_acme_1, last_of_acme_2}
    for asset in (MEMBERSHIP, AUDIENCE):
        assert shown(instance, asset) == dict.fromkeys(KEYS, "MATERIALIZED")


def test_the_run_that_a_partition_is_shown_by_stays(instance: dg.DagsterInstance) -> None:
    check_that_the_last_runs_stay(instance)


def test_the_run_that_a_partition_is_shown_by_stays_in_postgresql(tmp_path: Path, empty_database_url: str) -> None:
    copyfile(PROJECT_ROOT / "dagster.yaml", tmp_path / "dagster.yaml")
    with opened_instance(str(tmp_path), dagsters(empty_database_url)) as instance:
        instance.add_dynamic_partitions("segments", list(KEYS))
        check_that_the_last_runs_stay(instance)


@pytest.mark.parametrize(("after", "deleted"), [(-SECOND, 0), (SECOND, 1)])
def test_a_run_is_deleted_when_it_ended_before_the_moment(
    instance: dg.DagsterInstance, after: timedelta, deleted: int
) -> None:
    run_id = a_run(instance, dg.DagsterRunStatus.SUCCESS)
    assert delete_runs(instance, ended_at(instance, run_id) + after) == RunCounts(deleted, 0, 0)
    assert run_ids(instance) == (set[str]() if deleted else {run_id})


# A queued run needs a code location in a server process.
@pytest.mark.parametrize(
    "status", [status for status in dg.DagsterRunStatus if status is not dg.DagsterRunStatus.QUEUED]
)
def test_only_runs_that_are_over_are_deleted(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    over = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
    a_run(instance, status)
    assert delete_runs(instance, later()) == RunCounts(int(status in over), 0, 0)


def test_of_too_many_runs_the_oldest_are_deleted_and_the_rest_another_day(instance: dg.DagsterInstance) -> None:
    kept = sync(instance, *KEYS)
    runs = [a_run(instance, dg.DagsterRunStatus.SUCCESS) for _ in range(5)]
    assert delete_runs(instance, later(), at_most=2) == RunCounts(deleted=2, kept=1, left=3)
    assert run_ids(instance) == {kept, *runs[2:]}
    assert delete_runs(instance, later(), at_most=9) == RunCounts(deleted=3, kept=1, left=0)


@pytest.mark.parametrize("failing_partitions", [(), ("globex/3",)])
def test_the_last_run_of_a_segment_that_was_deleted_does_not_stay(
    instance: dg.DagsterInstance, failing_partitions: tuple[str, ...]
) -> None:
    sync(instance, "globex/3", failing_partitions=failing_partitions)
    last = sync(instance, "acme/1", "acme/2")
    instance.delete_dynamic_partition("segments", "globex/3")
    delete_runs(instance, later())
    assert run_ids(instance) == {last}


@dg.asset
def figures(context: dg.AssetExecutionContext) -> None:
    """A replacement of `campaign_stats`."""
    if "fail" in context.run.tags:
        raise dg.Failure("Mailchimp is away.", allow_retries=False)


def test_the_last_attempt_and_the_last_success_of_an_asset_without_partitions_stay(
    instance: dg.DagsterInstance,
) -> None:
    tags = [{}, {}, {"fail": "1"}, {"fail": "1"}]
    runs = [dg.materialize([figures], instance=instance, tags=each, raise_on_error=False).run_id for each in tags]
    assert delete_runs(instance, later()) == RunCounts(deleted=2, kept=2, left=0)
    assert run_ids(instance) == {runs[1], runs[3]}


def test_the_last_observation_of_an_asset_stays(instance: dg.DagsterInstance) -> None:
    @dg.op
    def observe(context: dg.OpExecutionContext) -> None:
        context.log_event(dg.AssetObservation("employees"))

    @dg.job  # pyright: ignore[reportUnknownMemberType] - Dagster's
    def observing() -> None:
        observe()

    runs = [observing.execute_in_process(instance=instance).run_id for _ in range(2)]
    assert delete_runs(instance, later()) == RunCounts(deleted=1, kept=1, left=0)
    assert run_ids(instance) == {runs[1]}


def test_the_logs_of_a_run_are_deleted_with_it(tmp_path: Path) -> None:
    job = code_location(FakePipeline()).resolve_job_def("mailchimp_freshness")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        run_id = job.execute_in_process(instance=instance).run_id
        logs = tmp_path / "storage" / run_id
        assert list(logs.rglob("*.err"))
        delete_runs(instance, ended_at(instance, run_id) - SECOND)
        assert logs.exists()
        delete_runs(instance, ended_at(instance, run_id) + SECOND)
        assert not logs.exists()


def test_the_job_reports_what_it_deleted_as_numbers_and_does_not_delete_itself(
    instance: dg.DagsterInstance, database: Database
) -> None:
    a_run(instance, dg.DagsterRunStatus.SUCCESS)
    retention = ApplyRetention(
        database,
        lambda: datetime.now(UTC) + 91 * DAY,
        dagster_runs=90 * DAY,
        sync_requests=90 * DAY,
        campaign_stats=730 * DAY,
    )
    result = mailchimp_retention.execute_in_process(instance=instance, resources={"retention": retention})
    assert run_ids(instance) == {result.run_id}
    (metadata,) = [
        event.step_output_data.metadata for event in result.all_events if event.event_type_value == "STEP_OUTPUT"
    ]
    assert {name: value.value for name, value in metadata.items()} == {
        "sync_requests_deleted": 0,
        "campaign_stats_deleted": 0,
        "runs_deleted": 1,
        "runs_kept": 0,
        "runs_left": 0,
    }
