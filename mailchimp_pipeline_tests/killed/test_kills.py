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
from mailchimp_pipeline_tests.killed.server import mortal_server
from mailchimp_pipeline_tests.killed.town import Town, a_town
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS

SEED = 20260301
SECONDS = {"sync": 1.6, "erase": 0.8, "refresh": 0.5, "api": 1.5}
"""About how long each work takes: a process is killed within it."""
LOG = logging.getLogger(__name__)


@pytest.fixture
def town(tmp_path: Path) -> Generator[Town]:
    """Return a pipeline with a database of its own."""
    with mortal_server() as server, a_town(server, tmp_path, SEED) as made:
        yield made


@dataclass(frozen=True)
class Begun:
    """A process at work, and how what it leaves is finished once it is dead."""

    process: BaseProcess
    finish: Callable[[], None]


def begin(town: Town, work: str) -> Begun:
    """Let a process do a piece of work that there was not before."""
    if work == "sync":
        town.change_people()
        request_id = town.ask_for_a_sync()
        arguments = (town.environment, town.segment.partition_key, town.new_run_id(), request_id)
        return Begun(workers.start(workers.sync, *arguments), lambda: town.finish_sync(request_id))
    if work == "erase":
        town.demand_erasures(8)
        return Begun(workers.start(workers.erase, town.environment), town.finish_erasures)
    town.move_figures()
    return Begun(workers.start(workers.refresh, town.environment), town.refresh)


def wait_a_while(town: Town, work: str) -> None:
    """Let it come to anywhere in its work."""
    seconds = town.random.uniform(0, SECONDS[work])
    LOG.info("After %.2f s.", seconds)
    time.sleep(seconds)


def kill_run(town: Town, work: str) -> None:
    """Kill the process that does a piece of work."""
    begun = begin(town, work)
    wait_a_while(town, work)
    begun.process.kill()
    begun.process.join(PATIENCE_SECONDS)
    examine(town, begun.finish)


def kill_postgresql(town: Town, work: str) -> None:
    """Kill the database under a piece of work; the process lives on, and may finish by itself."""
    begun = begin(town, work)
    wait_a_while(town, work)
    town.server.kill()
    town.server.revive()
    begun.process.join(PATIENCE_SECONDS)
    town.figures["survived by the process"] += begun.process.exitcode == 0
    begun.process.kill()
    begun.process.join(PATIENCE_SECONDS)
    examine(town, begun.finish)


def kill_api(town: Town, _work: str) -> None:
    """Kill the API while it is asked for many things; what went unanswered is asked for again."""
    calls = [*town.calls_to_make()]
    with api(town.environment) as (port, process), ThreadPoolExecutor(len(calls)) as pool:
        asked = [pool.submit(call, port, *one) for one in calls]
        wait_a_while(town, "api")
        process.kill()
        unanswered = [one for one, answer in zip(calls, asked, strict=True) if answer.result() is None]
    with api(town.environment) as (port, _):
        answers = [call(port, *one) for one in unanswered]
    assert [answer and answer.status for answer in answers] == [200] * len(unanswered)
    town.figures["calls unanswered"] += len(unanswered)
    examine(town, town.finish_everything)


def examine(town: Town, finish: Callable[[], None]) -> None:
    """Look at what was left, have it finished, and see who was sent again although it was written down."""
    left = list(town.half_done())
    recorded, before = town.recorded(), town.sent()
    finish()
    again = {key for key in recorded if town.sent()[key] > before[key]}
    town.figures["doubled"] += len(again)
    assert (left, again) == ([], set())


KILLS: dict[str, Callable[[Town, str], None]] = {"run": kill_run, "api": kill_api, "postgresql": kill_postgresql}


def test_whoever_is_killed_nothing_is_lost_doubled_or_left_hanging(
    town: Town, pytestconfig: pytest.Config, tell: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, LOG.name)  # shown where it fails
    killed: Counter[str] = Counter()
    begun = time.monotonic()
    for number in range(pytestconfig.option.kills):
        victim = ("run", "api", "postgresql", "run")[number % 4]
        work = town.random.choice(("sync", "sync", "erase", "refresh"))
        LOG.info("Kill %s: %s at %s.", number, victim, work)
        KILLS[victim](town, work)
        killed[victim if victim == "api" else f"{victim} at {work}"] += 1
        assert list(town.wrongs()) == []
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(killed.items()))
    figures = {"lost": 0, "doubled": 0, "let in": 0, "hanging": 0, **town.figures}
    told = ", ".join(f"{name} {count}" for name, count in figures.items())
    tell(f"{killed.total()} kills ({kinds}): {told}; {time.monotonic() - begun:.0f} s")
