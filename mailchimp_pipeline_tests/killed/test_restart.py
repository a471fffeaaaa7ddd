"""PostgreSQL restarts under load: the API answers 503 meanwhile, and all processes recover."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from mailchimp_pipeline.database.sync_request_store import RequestStatus, SyncRequestStore
from mailchimp_pipeline_tests.database.builders import ACME
from mailchimp_pipeline_tests.killed import workers
from mailchimp_pipeline_tests.killed.calling import api, ask
from mailchimp_pipeline_tests.killed.scenario import KillScenario, kill_scenario
from mailchimp_pipeline_tests.killed.server import killable_server
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, eventually
from sandbox import Fault, FaultKind

MANY_ANSWERS = 10
"""The number of answers to wait for."""


@pytest.fixture
def scenario(tmp_path: Path) -> Generator[KillScenario]:
    """Return a pipeline with its own database server."""
    with killable_server() as server, kill_scenario(server, tmp_path, seed=4) as made:
        yield made


@contextmanager
def polled(port: int) -> Generator[list[int]]:
    """Call the API repeatedly until the end of the block; yield the statuses, 0 for no answer."""
    statuses, over = list[int](), Event()

    def poll() -> None:
        while not over.wait(0.1):  # a pause, because of the API's limits
            answer = ask(port, "segments.list")
            statuses.append(answer.status if answer else 0)

    with ThreadPoolExecutor(2) as pool:
        polls = [pool.submit(poll) for _ in range(2)]
        try:
            yield statuses
        finally:
            over.set()
    for each in polls:
        each.result()


def test_the_api_answers_503_during_a_restart_and_recovers(scenario: KillScenario) -> None:
    with api(scenario.environment) as (port, process), polled(port) as statuses:
        eventually(lambda: 200 in statuses)
        scenario.server.kill()
        eventually(lambda: statuses.count(503) >= MANY_ANSWERS)
        scenario.server.restart()
        so_far = len(statuses)
        eventually(lambda: statuses[so_far:].count(200) >= MANY_ANSWERS)
        assert (set(statuses), process.is_alive()) == ({200, 503}, True)


def test_a_run_restarts_and_finishes_after_a_database_restart(scenario: KillScenario) -> None:
    scenario.change_employees()
    scenario.sandbox.add_fault(Fault(kind=FaultKind.HELD, method="POST", route="/lists/{list_id}", skip=1))
    request_id, unchanged = scenario.request_sync(), len(scenario.recorded_members())
    run = workers.start(
        workers.sync, scenario.environment, scenario.segment.partition_key, scenario.new_run_id(), request_id
    )
    eventually(
        lambda: len(scenario.recorded_members()) > unchanged and scenario.sandbox.faults_struck(), START_TIMEOUT_SECONDS
    )
    recorded, before = scenario.recorded_members(), scenario.send_counts()
    assert (run.is_alive(), recorded < scenario.expected_members().keys()) == (True, True)
    scenario.server.kill()
    scenario.sandbox.clear_faults()
    scenario.server.restart()
    run.join(START_TIMEOUT_SECONDS)
    assert (run.exitcode, list(scenario.deviations())) == (0, [])
    assert {key for key in recorded if scenario.send_counts()[key] > before[key]} == set()
    with scenario.pipeline.resources.database.organisation(ACME) as session:
        request = SyncRequestStore(session).get(request_id)
    assert request
    assert request.status is RequestStatus.DONE
