"""PostgreSQL is restarted while everybody works: the API says so meanwhile, and all come back by themselves."""

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
from mailchimp_pipeline_tests.killed.server import mortal_server
from mailchimp_pipeline_tests.killed.town import Town, a_town
from mailchimp_pipeline_tests.waiting import START_SECONDS, eventually
from sandbox import Fault, FaultKind

ENOUGH = 10
"""Answers while PostgreSQL is away."""


@pytest.fixture
def town(tmp_path: Path) -> Generator[Town]:
    """Return a pipeline with a database of its own."""
    with mortal_server() as server, a_town(server, tmp_path, seed=4) as made:
        yield made


@contextmanager
def asked_all_the_while(port: int) -> Generator[list[int]]:
    """Ask the API again and again until the end of the block; yield the statuses of its answers, 0 for none."""
    came, over = list[int](), Event()

    def ask_on() -> None:
        while not over.wait(0.1):  # or the API would think of its limits
            answer = ask(port, "segments.list")
            came.append(answer.status if answer else 0)

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask_on) for _ in range(2)]
        try:
            yield came
        finally:
            over.set()
    for each in asking:
        each.result()


def test_the_api_says_that_it_is_away_and_comes_back_by_itself(town: Town) -> None:
    with api(town.environment) as (port, process), asked_all_the_while(port) as came:
        eventually(lambda: 200 in came)
        town.server.kill()
        eventually(lambda: came.count(503) >= ENOUGH)
        town.server.revive()
        so_far = len(came)
        eventually(lambda: came[so_far:].count(200) >= ENOUGH)
        assert (set(came), process.is_alive()) == ({200, 503}, True)


def test_a_run_whose_database_was_restarted_stops_at_once_begins_again_and_finishes(town: Town) -> None:
    town.change_people()
    town.sandbox.add_fault(Fault(kind=FaultKind.HELD, method="POST", route="/lists/{list_id}", skip=1))
    request_id, unchanged = town.ask_for_a_sync(), len(town.recorded())
    run = workers.start(workers.sync, town.environment, town.segment.partition_key, town.new_run_id(), request_id)
    eventually(lambda: len(town.recorded()) > unchanged and town.sandbox.faults_struck(), START_SECONDS)
    recorded, before = town.recorded(), town.sent()
    assert (run.is_alive(), recorded < town.wanted().keys()) == (True, True)
    town.server.kill()
    town.sandbox.clear_faults()
    town.server.revive()
    run.join(START_SECONDS)
    assert (run.exitcode, list(town.wrongs())) == (0, [])
    assert {key for key in recorded if town.sent()[key] > before[key]} == set()
    with town.pipeline.resources.database.organisation(ACME) as session:
        request = SyncRequestStore(session).get(request_id)
    assert request
    assert request.status is RequestStatus.DONE
