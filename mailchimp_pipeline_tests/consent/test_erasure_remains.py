"""After an erasure: no table of the whole server, Dagster's included, no log and no file holds the person."""

import io
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import dagster as dg
import pytest

from api.app import create_app
from api.composition import api_parts
from api.logs import json_handler
from api.serving import in_thread
from mailchimp_pipeline.assembly import DatabaseCampaigns, DatabasePipeline, Parts, complete_settings, open_parts
from mailchimp_pipeline.definitions import build_definitions
from mailchimp_pipeline.defs.erasure import mailchimp_erasure
from mailchimp_pipeline.defs.partitions import SEGMENTS
from mailchimp_pipeline.sandbox import Sandbox
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.api.procedures.stage import IMPATIENT, Stage, settings_for
from mailchimp_pipeline_tests.consent.erasing import (
    ADDRESS,
    FIRST_NAME,
    HASH,
    LAST_NAME,
    LATER,
    Office,
    an_office,
    impatient,
)
from mailchimp_pipeline_tests.consent.remains import places_in_files, places_in_server

ENTITY_ID = "hr-4711-0815"
_HEADER = "organisation_id,id,email,first_name,last_name,department,location,employment_type,employment_status\n"
PERSON = (ADDRESS, FIRST_NAME, LAST_NAME, HASH, ADDRESS.encode().hex())

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
            "pipeline": DatabasePipeline(parts),
            "campaigns": DatabaseCampaigns(parts),
            "erasures": parts.erasures(),
        }
        job = build_definitions(resources).resolve_job_def("mailchimp_scheduled_sync")
        self.instance.add_dynamic_partitions(SEGMENTS.name or "", [segment.partition_key])
        assert job.execute_in_process(instance=self.instance, partition_key=segment.partition_key).success

    def carry_on(self) -> None:
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
        with self.office.parts.database.everyone() as session:
            session.connection().exec_driver_sql("analyze")


@dataclass(frozen=True)
class Aftermath:
    """Where the person and its id stood before the erasure, and where they stand after it."""

    before: Places
    after: Places
    printed: str


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    """Play it through: synced, asked for, erased while Mailchimp is away, carried on with, synced again."""
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed), a_whole(tmp_path_factory.mktemp("hr")) as whole:
        office, entity = whole.office, {"entityId": ENTITY_ID, "entityType": "employee"}
        segment = office.segment()
        whole.sync(segment)
        said = {**entity, "optedIn": True, "consentSource": "form"}
        for path, value in (("updateOptStatus", said), ("export", entity)):
            assert office.tenant.mutate(f"preferences.{path}", value).status == 200
        whole.analyze()
        before = whole.places(*PERSON, ENTITY_ID)
        office.sandbox.start_outage()
        assert office.erase(entity)["status"] == "pending"
        office.sandbox.end_outage()
        whole.carry_on()
        whole.sync(segment)
        return Aftermath(before, whole.places(*PERSON, ENTITY_ID), printed.getvalue())


def test_before_the_erasure_the_person_is_found_where_it_is_known_to_be(aftermath: Aftermath) -> None:
    assert {"segment_members", "audience_members", "email_preferences", "pg_statistic"} <= tables(
        aftermath.before, HASH
    )
    assert {"segment_members", "pg_statistic"} <= tables(aftermath.before, LAST_NAME)


@pytest.mark.parametrize("trait", PERSON)
def test_after_it_no_table_no_log_and_no_file_holds_the_person(aftermath: Aftermath, trait: str) -> None:
    assert tables(aftermath.after, trait) == set()
    assert trait.lower() not in aftermath.printed.lower()


def test_the_id_in_the_source_stays_in_the_audit_log_alone(aftermath: Aftermath) -> None:
    assert tables(aftermath.after, ENTITY_ID) == {"audit_log", "pg_statistic"}


def tables(places: Places, needle: str) -> set[str]:
    """Return the names of the tables, or files, that hold it."""
    return {place.split(".")[-1] for place, held in places.items() if needle in held}


@contextmanager
def a_whole(files: Path) -> Generator[Whole]:
    with (
        TemporaryDirectory(prefix="pipeline-", ignore_cleanup_errors=True) as directory,
        Sandbox.running() as sandbox,
        a_pipeline(Path(directory), files, sandbox) as (parts, dagster_url),
        an_instance(Path(directory) / "dagster", dagster_url) as instance,
        in_thread(create_app(api_parts(parts, patience=IMPATIENT)), grace_seconds=1) as url,
    ):
        office = an_office(Stage(url, parts, sandbox, files), entity_id=ENTITY_ID)
        yield Whole(Path(directory), office, instance)


@contextmanager
def a_pipeline(home: Path, files: Path, sandbox: Sandbox) -> Generator[tuple[Parts, str]]:
    for name in ("employees", "vendors"):
        (files / f"{name}.csv").write_text(_HEADER)
    given = settings_for("postgresql://nowhere/nothing", files, sandbox, MAILCHIMP_PIPELINE_HOME=str(home))
    own = {name: value for name, value in given.environment().items() if not name.endswith("DATABASE_URL")}
    with complete_settings(Settings.from_environment(own)) as settings, logged_to(home / "logs"):
        dagster_url = settings.dagster_postgres_url
        assert dagster_url is not None
        with open_parts(settings) as parts:
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
