"""The code location in Dagster's processes: loaded without settings, opened with those of a run."""

import subprocess
import sys
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, cast

import pytest
from dagster._core.scheduler import DagsterDaemonScheduler
from sqlalchemy import make_url

from mailchimp_pipeline.defs.pipeline_resources import PipelineResource
from mailchimp_pipeline.defs.schedules import daily_sync_runs, opened_instance
from mailchimp_pipeline.defs.storage import PipelineStorage
from mailchimp_pipeline.defs.sync_runs import SyncConfig
from mailchimp_pipeline.settings import PROJECT_ROOT
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.defs.pipeline_fake import FakePipeline, code_location

if TYPE_CHECKING:
    from mailchimp_pipeline.services.pipeline import Pipeline

HEAVY = ("pandas", "pyarrow", "numpy", "sqlalchemy", "psycopg", "requests")
LOOK = f"""
import sys
import mailchimp_pipeline.definitions
print(*(name for name in {HEAVY!r} if name in sys.modules))
"""


def in_a_fresh_interpreter(code: str, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip()


def test_nothing_heavy_is_loaded_before_a_run() -> None:
    assert in_a_fresh_interpreter(LOOK, {}) == ""


def test_the_pipeline_is_opened_from_the_environment_when_a_run_begins(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", database_url)
    monkeypatch.setenv("MAILCHIMP_PIPELINE_ENCRYPTION_KEYS", "test:MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE=")
    monkeypatch.setenv("MAILCHIMP_PIPELINE_HOME", str(tmp_path))
    definitions = code_location(PipelineResource())
    result = definitions.resolve_job_def("mailchimp_freshness").execute_in_process()
    assert [evaluation.passed for evaluation in result.get_asset_check_evaluations()] == [True]


def test_dagsters_storage_is_where_the_settings_say(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", postgres_server.url_of("somewhere"))
    storage = PipelineStorage.from_config_value(None, {"should_autocreate_tables": False})
    assert storage.postgres_url.startswith("postgresql+psycopg2://")
    assert "/somewhere" in storage.postgres_url
    assert PipelineStorage.config_type() == {}


def test_dagsters_storage_is_embedded_where_the_settings_say_nothing(
    postgres_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
from mailchimp_pipeline.defs.storage import PipelineStorage
print(PipelineStorage.from_config_value(None, {"should_autocreate_tables": False}).postgres_url)
"""
    monkeypatch.setenv("MAILCHIMP_PIPELINE_HOME", str(postgres_home))
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    assert "/dagster" in in_a_fresh_interpreter(code)


def dagsters(database_url: str) -> str:
    return make_url(database_url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def test_a_tick_that_failed_is_tried_again_until_the_look_at_six(tmp_path: Path, empty_database_url: str) -> None:
    copyfile(PROJECT_ROOT / "dagster.yaml", tmp_path / "dagster.yaml")
    with opened_instance(str(tmp_path), dagsters(empty_database_url)) as instance:
        assert isinstance(instance.scheduler, DagsterDaemonScheduler)
        assert instance.scheduler.max_tick_retries == 60  # one a minute


def test_the_schedule_is_fired_by_hand_in_the_storage_that_is_named(
    tmp_path: Path, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://nobody@127.0.0.1:1/elsewhere")
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with opened_instance(str(tmp_path), dagsters(empty_database_url)) as instance:
        pipeline = cast("Pipeline", FakePipeline(["acme/1", "acme/2"]))
        (request,) = daily_sync_runs(pipeline, instance)
        assert request.run_config == SyncConfig(segments=["acme/1", "acme/2"]).run_config.to_config_dict()
