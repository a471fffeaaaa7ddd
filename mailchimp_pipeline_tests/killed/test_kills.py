"""`kill -9` at random moments: nothing is lost or left unfinished, and only batches in progress are sent twice.

`--kills` is the number of kills. Each victim is a child process that does the work of a Dagster run, the API or
PostgreSQL. `contention/test_two_daemons` kills the daemon, `test_killed_run` its run.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from mailchimp_pipeline_tests.killed import workers
from mailchimp_pipeline_tests.killed.calling import api, call
from mailchimp_pipeline_tests.killed.scenario import KillScenario, kill_scenario
from mailchimp_pipeline_tests.killed.server import killable_server
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS

SEED = 20260301
SECONDS = {"sync": 1.6, "erase": 0.8, "refresh": 0.5, "api": 1.5}
"""The approximate duration of each kind of work, within which the process is killed."""
LOG = logging.getLogger(__name__)


@pytest.fixture
def scenario(tmp_path: Path) -> Generator[KillScenario]:
    """Return a pipeline with its own database server."""
    with killable_server() as server, kill_scenario(server, tmp_path, SEED) as made:
        yield made


@dataclass(frozen=True)
class WorkInProgress:
    """A working process, and a function that finishes its work after its death."""

    process: BaseProcess
    finish: Callable[[], None]


def start_work(scenario: KillScenario, work: str) -> WorkInProgress:
    """Start new work in a child process."""
    if work == "sync":
        scenario.change_employees()
        request_id = scenario.request_sync()
        arguments = (scenario.environment, scenario.segment.partition_key, scenario.new_run_id(), request_id)
        return WorkInProgress(workers.start(workers.sync, *arguments), lambda: scenario.resume_sync(request_id))
    if work == "erase":
        scenario.record_erasures(8)
        return WorkInProgress(workers.start(workers.erase, scenario.environment), scenario.finish_erasures)
    scenario.update_reports()
    return WorkInProgress(workers.start(workers.refresh, scenario.environment), scenario.refresh)


def wait_within(scenario: KillScenario, work: str) -> None:
    """Wait for a random part of the work's duration."""
    seconds = scenario.random.uniform(0, SECONDS[work])
    LOG.info("After %.2f s.", seconds)
    time.sleep(seconds)


def kill_run(scenario: KillScenario, work: str) -> None:
    """Kill the process during its work."""
    work_in_progress = start_work(scenario, work)
    wait_within(scenario, work)
    work_in_progress.process.kill()
    work_in_progress.process.join(TIMEOUT_SECONDS)
    check_result(scenario, work_in_progress.finish)


def kill_postgresql(scenario: KillScenario, work: str) -> None:
    """Kill the database during the work. The process survives and may finish."""
    work_in_progress = start_work(scenario, work)
    wait_within(scenario, work)
    scenario.server.kill()
    scenario.server.restart()
    work_in_progress.process.join(TIMEOUT_SECONDS)
    scenario.figures["survived by the process"] += work_in_progress.process.exitcode == 0
    work_in_progress.process.kill()
    work_in_progress.process.join(TIMEOUT_SECONDS)
    check_result(scenario, work_in_progress.finish)


def kill_api(scenario: KillScenario, _work: str) -> None:
    """Kill the API during calls, and repeat the calls without an answer."""
    calls = [*scenario.api_calls()]
    with api(scenario.environment) as (port, process), ThreadPoolExecutor(len(calls)) as pool:
        asked = [pool.submit(call, port, *one) for one in calls]
        wait_within(scenario, "api")
        process.kill()
        unanswered = [one for one, answer in zip(calls, asked, strict=True) if answer.result() is None]
    with api(scenario.environment) as (port, _):
        answers = [call(port, *one) for one in unanswered]
    assert [answer and answer.status for answer in answers] == [200] * len(unanswered)
    scenario.figures["calls unanswered"] += len(unanswered)
    check_result(scenario, scenario.finish_pending_work)


def check_result(scenario: KillScenario, finish: Callable[[], None]) -> None:
    """Check what the kill left behind, finish the work, and check that no recorded contact is sent again."""
    left = list(scenario.inconsistencies())
    recorded, before = scenario.recorded_members(), scenario.send_counts()
    finish()
    again = {key for key in recorded if scenario.send_counts()[key] > before[key]}
    scenario.figures["doubled"] += len(again)
    assert (left, again) == ([], set())


KILLS: dict[str, Callable[[KillScenario, str], None]] = {
    "run": kill_run,
    "api": kill_api,
    "postgresql": kill_postgresql,
}


def test_kills_lose_double_or_block_nothing(
    scenario: KillScenario, pytestconfig: pytest.Config, report: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)  # shown if the test fails
    killed: Counter[str] = Counter()
    begun = time.monotonic()
    for number in range(pytestconfig.option.kills):
        victim = ("run", "api", "postgresql", "run")[number % 4]
        work = scenario.random.choice(("sync", "sync", "erase", "refresh"))
        LOG.info("Kill %s: %s at %s.", number, victim, work)
        KILLS[victim](scenario, work)
        killed[victim if victim == "api" else f"{victim} at {work}"] += 1
        assert list(scenario.deviations()) == []
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(killed.items()))
    figures = {"lost": 0, "doubled": 0, "unwanted": 0, "hanging": 0, **scenario.figures}
    counts = ", ".join(f"{name} {count}" for name, count in figures.items())
    report(f"{killed.total()} kills ({kinds}): {counts}; {time.monotonic() - begun:.0f} s")
