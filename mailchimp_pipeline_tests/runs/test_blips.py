"""A short outage of the database: runs and ticks repeat their queries."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mailchimp_pipeline.database.session import Database, DatabaseAway
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.services.stopped_run import StoppedRun
from mailchimp_pipeline_tests.database.builders import AT, MINUTE
from mailchimp_pipeline_tests.runs.company import Company


class Blinking(Database):
    """A database that is unavailable at first use."""

    blinked = False

    @contextmanager
    def translated_errors(self) -> Generator[None]:
        if not self.blinked:
            self.blinked = True
            raise DatabaseAway("PostgreSQL restarts.")
        with super().translated_errors():
            yield


@pytest.fixture
def blinking(company: Company) -> Generator[Pipeline]:
    """Return the organisation's pipeline with a database that is briefly unavailable."""
    with Blinking(company.pipeline.resources.database_url) as database:
        yield Pipeline(replace(company.pipeline.resources, database=database))


def test_a_run_starts_despite_a_database_blip(blinking: Pipeline) -> None:
    with blinking.hold_run_lock("run"):
        assert blinking.is_alive("run")


def test_a_tick_reads_due_segments_despite_a_database_blip(company: Company, blinking: Pipeline) -> None:
    assert [segment.id for segment in blinking.due_segments()] == [company.segment.id]


def test_a_check_reads_overdue_segments_despite_a_database_blip(company: Company, blinking: Pipeline) -> None:
    assert [segment.id for segment in blinking.not_synced_since(company.pipeline.now())] == [company.segment.id]


def test_a_stopped_run_is_recorded_despite_a_database_blip(company: Company, blinking: Pipeline) -> None:
    blinking.fail_stopped(StoppedRun("run-1", [company.segment.partition_key], AT + MINUTE), "Cancelled.")
    assert company.stored_segment().last_error == "Cancelled."
