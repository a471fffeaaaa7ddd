"""The daily schedules: requested runs, and the freshness check at six."""

from collections.abc import Generator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from mailchimp_pipeline.clock import last_daily_sync
from mailchimp_pipeline.defs.assets import SEGMENTS_PER_RUN
from mailchimp_pipeline.defs.schedules import daily_sync
from mailchimp_pipeline.defs.sync_runs import TRIGGER_TAG
from mailchimp_pipeline.sync.segment_results import Trigger
from mailchimp_pipeline_tests.defs.pipeline_fake import AT, FakePipeline, code_location, failing_partitions


@pytest.fixture
def instance(tmp_path: Path) -> Generator[dg.DagsterInstance]:
    """Return an instance that a tick can open again by its reference."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def tick(instance: dg.DagsterInstance, pipeline: FakePipeline) -> list[dg.RunRequest]:
    resources = {"pipeline": pipeline}
    with dg.build_schedule_context(instance=instance, scheduled_execution_time=AT, resources=resources) as context:
        return list(daily_sync.evaluate_tick(context).run_requests or [])


def segments(request: dg.RunRequest) -> list[str]:
    return request.run_config["ops"]["sync_segments"]["config"]["segments"]


def test_the_morning_asks_for_one_run_of_many_segments(instance: dg.DagsterInstance) -> None:
    keys = [f"acme/{number}" for number in range(100)]
    (request,) = tick(instance, FakePipeline(keys))
    assert (segments(request), request.tags[TRIGGER_TAG]) == (keys, Trigger.SCHEDULE)


def test_an_organisation_is_not_cut_between_two_runs(instance: dg.DagsterInstance) -> None:
    acme = [f"acme/{number}" for number in range(SEGMENTS_PER_RUN - 1)]
    requests = tick(instance, FakePipeline([*acme, "globex/1", "globex/2"]))
    assert [segments(request) for request in requests] == [acme, ["globex/1", "globex/2"]]
    assert len({request.run_key for request in requests}) == 2


def test_the_same_tick_asks_for_the_same_runs(instance: dg.DagsterInstance) -> None:
    first, second = (tick(instance, FakePipeline(["acme/1"])) for _ in range(2))
    assert [request.run_key for request in first] == [request.run_key for request in second]


def test_without_connections_no_run_is_requested(instance: dg.DagsterInstance) -> None:
    assert tick(instance, FakePipeline()) == []


@pytest.mark.parametrize("overdue", [(), ("acme/2",)])
def test_the_freshness_check_names_overdue_segments(instance: dg.DagsterInstance, overdue: tuple[str, ...]) -> None:
    pipeline = FakePipeline(["acme/1", "acme/2"], overdue=overdue, time=AT.replace(hour=6))
    job = code_location(pipeline).resolve_job_def("mailchimp_freshness")
    (evaluation,) = job.execute_in_process(instance=instance).get_asset_check_evaluations()
    assert (evaluation.passed, failing_partitions(evaluation)) == (not overdue, list(overdue))
    assert pipeline.not_synced_since_calls == [AT]


@pytest.mark.parametrize(
    ("now", "five"),
    [("2026-03-01T05:00", "2026-03-01"), ("2026-03-01T04:59", "2026-02-28"), ("2026-03-01T23:59", "2026-03-01")],
)
def test_the_last_daily_sync_is_the_one_that_has_passed(now: str, five: str) -> None:
    moment = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert last_daily_sync(moment) == datetime.fromisoformat(f"{five}T05:00").replace(tzinfo=UTC)
