"""Dagster's run queue with this project's `dagster.yaml`, and the daemon's run coordinator."""

# pyright: reportPrivateUsage=false

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

import dagster as dg
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from sqlalchemy import make_url

from mailchimp_pipeline.defs.schedules import opened_instance
from mailchimp_pipeline.defs.sync_runs import SyncConfig, requested_run
from mailchimp_pipeline.settings import PROJECT_ROOT

REPOSITORY = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")


@contextmanager
def a_queue(home: Path, database_url: str) -> Generator[dg.DagsterInstance]:
    """Yield an instance with an empty queue."""
    copyfile(PROJECT_ROOT / "dagster.yaml", home / "dagster.yaml")
    url = make_url(database_url).set(drivername="postgresql+psycopg2")
    with opened_instance(str(home), url.render_as_string(hide_password=False)) as made:
        yield made


def queue(instance: dg.DagsterInstance, *requests: dg.RunRequest) -> list[str]:
    """Add runs to the queue and return their ids."""
    origin = RemoteJobOrigin(REPOSITORY, "a_job")
    queued = dg.DagsterRunStatus.QUEUED
    runs = [dg.DagsterRun("a_job", status=queued, tags=each.tags, remote_job_origin=origin) for each in requests]
    return [instance.add_run(run).run_id for run in runs]


def start(instance: dg.DagsterInstance) -> list[str]:
    """Start the runs that the daemon would start next, and return their ids."""
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    runs = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
    for run in runs:
        started = dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, run.job_name)
        instance.report_dagster_event(started, run.run_id)
    return [run.run_id for run in runs]


def finish(instance: dg.DagsterInstance, run_id: str) -> None:
    run = instance.get_run_by_id(run_id)
    assert run
    instance.report_run_failed(run)


def run_request(organisation_id: str, number: int = 0) -> dg.RunRequest:
    """Return a run request for a sync request of the organisation."""
    return requested_run(organisation_id, SyncConfig(requests=[f"{organisation_id}-{number}"]))
