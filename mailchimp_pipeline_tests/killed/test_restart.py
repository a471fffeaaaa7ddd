"""PostgreSQL is restarted while everybody works: the API says so meanwhile, and all come back by themselves."""

import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from mailchimp_pipeline.database.requests import RequestStatus, SyncRequestStore
from mailchimp_pipeline_tests.database.builders import ACME
from mailchimp_pipeline_tests.killed import workers
from mailchimp_pipeline_tests.killed.calling import api, ask
from mailchimp_pipeline_tests.killed.server import mortal_server
from mailchimp_pipeline_tests.killed.town import Town, a_town

PATIENCE_SECONDS = 60
AWAY_SECONDS = 1.0


@pytest.fixture
def town(tmp_path: Path) -> Generator[Town]:
    """Return a pipeline with a database of its own."""
    with mortal_server() as server, a_town(server, tmp_path, seed=4) as made:
        yield made


def answers(port: int, over: Event) -> list[int]:
    """Ask the API again and again until it is over; return the statuses of its answers, 0 for none."""
    came: list[int] = []
    while not over.is_set():
        answer = ask(port, "segments.list")
        came.append(answer.status if answer else 0)
        over.wait(0.1)  # or the API would think of its limits
    return came


def until_some_are_sent(town: Town) -> None:
    """Wait until a batch was sent since the last change, and was written down."""
    unchanged, deadline = len(town.recorded()), time.monotonic() + PATIENCE_SECONDS
    while len(town.recorded()) <= unchanged:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_api_says_that_it_is_away_and_comes_back_by_itself(town: Town) -> None:
    over = Event()
    with api(town.environment) as (port, process), ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(answers, port, over) for _ in range(2)]
        time.sleep(0.5)
        town.server.kill()
        time.sleep(AWAY_SECONDS)
        town.server.revive()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (answer := ask(port, "segments.list")) is None or answer.status != 200:
            assert time.monotonic() < deadline
        over.set()
        came = [status for each in asking for status in each.result()]
        assert (set(came), process.is_alive()) == ({200, 503}, True)


def test_a_run_whose_database_was_restarted_stops_at_once_begins_again_and_finishes(town: Town) -> None:
    town.change_people()
    town.sandbox.configure(latency_ms=150, latency_per_contact_ms=1)
    request_id = town.ask_for_a_sync()
    run = workers.start(workers.sync, town.environment, town.segment.partition_key, town.new_run_id(), request_id)
    until_some_are_sent(town)
    recorded, before = town.recorded(), town.sent()
    town.server.kill()
    town.sandbox.configure(latency_ms=0, latency_per_contact_ms=0)
    town.server.revive()
    run.join(PATIENCE_SECONDS)
    assert (run.exitcode, list(town.wrongs())) == (0, [])
    assert {key for key in recorded if town.sent()[key] > before[key]} == set()
    with town.pipeline.parts.database.organisation(ACME) as session:
        request = SyncRequestStore(session).get(request_id)
    assert request
    assert request.status is RequestStatus.DONE
