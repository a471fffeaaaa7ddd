"""Ids on log lines: bound for the work in all of its threads, and nowhere else."""

import io
import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.contextvars import bound_contextvars, get_contextvars

from mailchimp_pipeline.errors import TransientError
from mailchimp_pipeline.logs import json_handler, log_our_lines, logger
from mailchimp_pipeline.mailchimp.transport import count_retry, counted_retries
from mailchimp_pipeline.sync.tasks import in_parallel
from mailchimp_pipeline_tests.runs.company import a_company
from sandbox import Fault, FaultKind


@contextmanager
def lines() -> Generator[list[dict[str, Any]]]:
    """Collect the lines of our own loggers."""
    stream, log, written = io.StringIO(), logging.getLogger("mailchimp_pipeline"), list[dict[str, Any]]()
    handler, level = json_handler(stream), log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield written
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        written += [json.loads(line) for line in stream.getvalue().splitlines()]


def test_threads_have_the_ids_of_the_thread_that_started_them() -> None:
    with bound_contextvars(run_id="r"):
        assert list(in_parallel([get_contextvars, get_contextvars], lambda: False)) == [{"run_id": "r"}] * 2


def test_a_run_leaves_no_ids_with_its_caller(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company:
        keys = [company.segment.partition_key]
        seen = [get_contextvars() for _ in company.pipeline.sync(keys, run_id="run-1", push=False)]

    assert [*seen, get_contextvars()] == [{}, {}]


def test_retries_are_counted_in_the_threads_of_the_block_too() -> None:
    retry = partial(count_retry, TransientError("Mailchimp is away. Try later."))
    retry()
    with counted_retries() as retried:
        list(in_parallel([retry] * 5, lambda: False))

    assert retried == ["TransientError"] * 5


def test_our_lines_go_to_standard_error_as_it_is_at_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    log_our_lines()
    log_our_lines()
    with bound_contextvars(run_id="r"):
        logger("mailchimp_pipeline.here").info("said")

    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["run_id"]) == ("said", "r")


def test_a_synced_segment_is_a_line_with_its_ids_and_figures(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company, lines() as logged:
        company.sync(request := company.request_sync())
    (line,) = [line for line in logged if line["event"] == "segment synced"]

    assert (line["organisation_id"], line["segment_id"]) == ("acme", company.segment.id)
    assert (line["run_id"], line["request_id"]) == ("run-1", request.id)
    assert (line["new"], line["retries"]) == (3, 0)


def test_a_retried_call_is_told_with_the_ids_of_its_segment_and_counted(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company, lines() as logged:
        company.sandbox.add_fault(Fault(kind=FaultKind.THROTTLED, method="POST", times=1))
        result = company.sync()
    (line,) = [line for line in logged if line["event"] == "mailchimp call tried again"]

    assert (line["after"], line["run_id"], line["organisation_id"]) == ("Throttled", "run-1", "acme")
    assert (line["segment_id"], result.retries) == (company.segment.id, 1)
    assert "@" not in json.dumps(logged)


def test_a_segment_that_failed_is_a_line_that_says_why(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company, lines() as logged:
        (company.files / "employees.csv").unlink()
        company.sync()
    (line,) = [line for line in logged if line["event"] == "segment failed"]

    assert "There is no employees.csv" in line["why"]
    assert (line["level"], line["segment_id"]) == ("error", company.segment.id)
