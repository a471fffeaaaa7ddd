"""`kill -9` at random moments: nothing lost, nothing sent twice but batches under way, nothing left hanging.

`--kills` says how many. Each process is one of its own that does what a run of Dagster's, the API or PostgreSQL does;
the daemon is killed in `contention/test_two_daemons`, its run in `test_killed_run`.
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
"""About how long each work takes: a process is killed within it."""
LOG = logging.getLogger(__name__)


@pytest.fixture
def scenario(tmp_path: Path) -> Generator[KillScenario]:
    """Return a pipeline with a database of its own."""
    with killable_server() as server, kill_scenario(server, tmp_path, SEED) as made:
        yield made


@dataclass(frozen=True)
class WorkInProgress:
    """A process at work, and how what it leaves is finished once it is dead."""

    process: BaseProcess
    finish: Callable[[], None]


def start_work(scenario: KillScenario, work: str) -> WorkInProgress:
    """Let a process do a piece of work that there was not before."""
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
    """Let it come to anywhere in its work."""
    seconds = scenario.random.uniform(0, SECONDS[work])
    LOG.info("After %.2f s.", seconds)
    time.sleep(seconds)


def kill_run(scenario: KillScenario, work: str) -> None:
    """Kill the process that does a piece of work."""
    work_in_progress = start_work(scenario, work)
    wait_within(scenario, work)
    work_in_progress.process.kill()
    work_in_progress.process.join(TIMEOUT_SECONDS)
    check_result(scenario, work_in_progress.finish)


def kill_postgresql(scenario: KillScenario, work: str) -> None:
    """Kill the database under a piece of work; the process lives on, and may finish by itself."""
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
    """Kill the API while it is asked for many things; what went unanswered is asked for again."""
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
    """Look at what was left, have it finished, and see who was sent again although it was written down."""
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


def test_whoever_is_killed_nothing_is_lost_doubled_or_left_hanging(
    scenario: KillScenario, pytestconfig: pytest.Config, report: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)  # shown where it fails
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
