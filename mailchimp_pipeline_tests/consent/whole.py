"""A whole pipeline in a directory of its own: PostgreSQL, Dagster's instance, the API, logs of all that is logged.

What does not belong here: what happens in it, and what must not be left of it (the tests).
"""

import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import dagster as dg

from api.app import api_parts, create_app
from api.serving import in_thread
from mailchimp_pipeline.definitions import build_definitions
from mailchimp_pipeline.defs.privacy_jobs import mailchimp_erasure
from mailchimp_pipeline.defs.sync_runs import SEGMENTS
from mailchimp_pipeline.logs import json_handler
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.services.refresh_campaigns import campaign_refresh
from mailchimp_pipeline.services.resources import Resources, complete_settings, open_resources
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.api.procedures.stage import NO_PAUSES, Stage, settings_for
from mailchimp_pipeline_tests.consent.erasing import LATER, Office, an_office, impatient
from mailchimp_pipeline_tests.consent.remains import places_in_files, places_in_server
from mailchimp_pipeline_tests.source_fake import backdate
from sandbox import Sandbox

ENTITY_ID = "hr-4711-0815"
_HEADER = "organisation_id,id,email,first_name,last_name,department,location,employment_type,employment_status\n"

Places: TypeAlias = Mapping[str, set[str]]
"""What was found where."""


@dataclass(frozen=True)
class Whole:
    """A whole pipeline in a directory of its own: PostgreSQL, Dagster's instance, logs."""

    home: Path
    office: Office
    instance: dg.DagsterInstance

    def sync(self, segment: Segment) -> None:
        """Sync by Dagster's job."""
        parts = self.office.parts
        resources = {
            "pipeline": Pipeline(parts),
            "campaigns": campaign_refresh(parts),
            "erasures": parts.erasures(),
            "retention": object(),
        }
        job = build_definitions(resources).resolve_job_def("mailchimp_scheduled_sync")
        self.instance.add_dynamic_partitions(SEGMENTS.name or "", [segment.partition_key])
        assert job.execute_in_process(instance=self.instance, partition_key=segment.partition_key).success

    def retry_pending(self) -> None:
        """Carry on by Dagster's job, a day later."""
        erasures = replace(impatient(self.office.parts), clock=lambda: LATER)
        job = mailchimp_erasure.execute_in_process(instance=self.instance, resources={"erasures": erasures})
        assert job.success

    def places(self, *needles: str) -> Places:
        """Return which needles stand where."""
        data = self.home / "postgresql"
        in_files = places_in_files(self.home, needles, leaving_out=data)
        return places_in_server(self.office.parts.database_url, needles) | in_files

    def analyze(self) -> None:
        """Have PostgreSQL take its samples, as it does by itself after a while."""
        with self.office.parts.database.unrestricted() as connection, connection.begin():
            connection.exec_driver_sql("analyze")


def tables(places: Places, needle: str) -> set[str]:
    """Return the names of the tables, or files, that hold it."""
    return {place.split(".")[-1] for place, held in places.items() if needle in held}


@contextmanager
def a_whole(files: Path, *, entity_id: str = ENTITY_ID) -> Generator[Whole]:
    with (
        TemporaryDirectory(prefix="pipeline-", ignore_cleanup_errors=True) as directory,
        Sandbox.running() as sandbox,
        a_pipeline(Path(directory), files, sandbox) as (parts, dagster_url),
        an_instance(Path(directory) / "dagster", dagster_url) as instance,
        in_thread(create_app(api_parts(parts, budget=NO_PAUSES)), grace_seconds=1) as url,
    ):
        office = an_office(Stage(url, parts, sandbox, files), entity_id=entity_id)
        yield Whole(Path(directory), office, instance)


@contextmanager
def a_pipeline(home: Path, files: Path, sandbox: Sandbox) -> Generator[tuple[Resources, str]]:
    for name in ("employees", "vendors"):
        (files / f"{name}.csv").write_text(_HEADER)
        backdate(files / f"{name}.csv")
    given = settings_for("postgresql://nowhere/nothing", files, sandbox, MAILCHIMP_PIPELINE_HOME=str(home))
    own = {name: value for name, value in given.environment().items() if not name.endswith("DATABASE_URL")}
    with complete_settings(Settings.from_environment(own)) as settings, logged_to(home / "logs"):
        dagster_url = settings.dagster_postgres_url
        assert dagster_url is not None
        with open_resources(settings) as parts:
            yield parts, dagster_url.get_secret_value()


@contextmanager
def an_instance(home: Path, url: str) -> Generator[dg.DagsterInstance]:
    home.mkdir()
    storage = f"storage:\n  postgres:\n    postgres_url: {url!r}\ntelemetry:\n  enabled: false\n"
    (home / "dagster.yaml").write_text(storage)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@contextmanager
def logged_to(directory: Path) -> Generator[None]:
    """Log all that anybody logs, the API as it does and all else at its most talkative."""
    directory.mkdir()
    root = logging.getLogger()
    with (directory / "api").open("w") as api, (directory / "all").open("w") as everything:
        handlers: list[logging.Handler] = [json_handler(api), logging.StreamHandler(everything)]
        level, root.level = root.level, logging.DEBUG
        for handler in handlers:
            root.addHandler(handler)
        try:
            yield
        finally:
            root.setLevel(level)
            for handler in handlers:
                root.removeHandler(handler)
