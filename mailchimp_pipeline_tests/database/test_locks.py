"""Locks between processes: held, waited for, and released when a process dies."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product

import psycopg
import pytest
from sqlalchemy import text

from mailchimp_pipeline.database.locks import (
    MIGRATION_LOCK,
    DatabaseConnectionSlots,
    HoldLost,
    Lock,
    LockTaken,
    SlotsTaken,
    audience_lock,
    connection_lock,
    hold,
    hold_audience,
    is_held,
    keep,
    run_lock,
    slot_lock,
)
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline_tests.database.builders import ACME, LIST
from mailchimp_pipeline_tests.database.lock_waits import has_lock_waiter
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS, eventually

_DIE_HOLDING = """
import os, sys
from mailchimp_pipeline.database.locks import hold_audience
from mailchimp_pipeline.database.session import Database
with hold_audience(Database(sys.argv[1]), "acme", "a1b2c3d4e5"):
    print("held", flush=True)
    sys.stdin.read()
    os.kill(os.getpid(), 9)
"""


def held(database: Database, lock: Lock) -> bool:
    with database.everyone() as session:
        return is_held(session, lock)


def end_other_sessions(database: Database) -> None:
    with database.unrestricted() as connection:
        connection.execute(
            text(
                "select pg_terminate_backend(pid, 60000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        )


def test_the_connection_of_a_lock_that_outlives_its_database_is_closed(database_url: str) -> None:
    with ExitStack() as held:
        with Database(database_url) as database:
            connection = held.enter_context(database.dedicated())
            driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        assert not driver.closed
    assert driver.closed


def test_a_connection_for_locks_is_used_again_without_its_locks(database: Database) -> None:
    with database.dedicated() as connection:
        first = connection.scalar(text("select pg_backend_pid() from pg_advisory_lock(1)"))
    with database.dedicated() as connection:
        assert connection.scalar(text("select pg_backend_pid()")) == first
        held = text("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()")
        assert connection.scalar(held) == 0


def test_an_audience_lock_has_one_holder(database: Database) -> None:
    with hold_audience(database, ACME, LIST):
        assert held(database, audience_lock(ACME, LIST))
        with (
            pytest.raises(LockTaken, match=f"audience {LIST} of organisation {ACME}"),
            hold_audience(database, ACME, LIST),
        ):
            pass
    # PostgreSQL releases it when it notices that the connection has ended.
    eventually(lambda: not held(database, audience_lock(ACME, LIST)))


def test_a_waiting_process_gets_the_lock_when_it_is_released(database: Database) -> None:
    def wait_for_it() -> bool:
        with hold_audience(database, ACME, LIST, wait_seconds=TIMEOUT_SECONDS) as taken:
            return taken.is_kept()

    with ThreadPoolExecutor(1) as pool:
        with hold_audience(database, ACME, LIST):
            waiting = pool.submit(wait_for_it)
            eventually(lambda: has_lock_waiter(database, kind="advisory"))
            is_done_early = waiting.done()
        assert (is_done_early, waiting.result()) == (False, True)


def test_waiting_too_long_for_a_lock_is_an_error(database: Database) -> None:
    with (
        hold_audience(database, ACME, LIST),
        pytest.raises(LockTaken),
        hold_audience(database, ACME, LIST, wait_seconds=0.05),
    ):
        pass


def test_two_audiences_and_two_organisations_do_not_wait_for_each_other(database: Database) -> None:
    with (
        hold_audience(database, ACME, LIST),
        hold_audience(database, ACME, "other"),
        hold_audience(database, "globex", LIST) as third,
    ):
        assert third.is_kept()


def test_a_killed_process_releases_its_locks(database: Database, database_url: str) -> None:
    command = [sys.executable, "-c", _DIE_HOLDING, database_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert held(database, audience_lock(ACME, LIST))
        process.communicate("")
    with hold_audience(database, ACME, LIST, wait_seconds=TIMEOUT_SECONDS) as taken:
        assert taken.is_kept()


def test_a_lock_is_lost_with_its_connection(database: Database) -> None:
    with hold(database, run_lock("run-1"), what="run run-1") as kept:
        assert kept.is_kept()
        end_other_sessions(database)
        assert not kept.is_kept()
    assert not held(database, run_lock("run-1"))


def test_a_lost_lock_is_reported_before_the_next_step(database: Database) -> None:
    with hold_audience(database, ACME, LIST) as taken:
        taken.require()
        end_other_sessions(database)
        with pytest.raises(HoldLost, match=f"audience {LIST} of organisation {ACME}"):
            taken.require()
        # A new connection would hold no lock.
        assert not taken.is_kept()


def test_threads_may_check_a_lock_at_once(database: Database) -> None:
    with hold_audience(database, ACME, LIST) as taken, ThreadPoolExecutor(8) as pool:
        assert all(asking.result() for asking in [pool.submit(taken.is_kept) for _ in range(200)])


def test_a_kept_lock_is_reacquired_on_a_new_connection(database: Database) -> None:
    with keep(database, run_lock("run-1"), what="run run-1", look_seconds=0.02):
        end_other_sessions(database)
        eventually(lambda: held(database, run_lock("run-1")))
    with hold(database, run_lock("run-1"), what="run run-1", wait_seconds=TIMEOUT_SECONDS):
        pass


def test_a_kept_lock_excludes_other_processes(database: Database) -> None:
    with (
        keep(database, run_lock("run-1"), what="run run-1"),
        pytest.raises(LockTaken),
        keep(database, run_lock("run-1"), what="run run-1"),
    ):
        pass


def test_no_two_locks_have_one_number() -> None:
    names = ["a", "b", "a,b", ""]
    locks = [audience_lock(*pair) for pair in product(names, names)]
    locks += [MIGRATION_LOCK, *map(run_lock, names), *map(connection_lock, names)]
    locks += [slot_lock(name, slot) for name in names for slot in range(10)]
    assert len({lock.key for lock in locks}) == len(locks)


def test_an_account_has_as_many_slots_as_it_has_connections_over_all_processes(database: Database) -> None:
    here, there = (DatabaseConnectionSlots(database, "account-1", slots=3, wait_seconds=0.1) for _ in range(2))
    with here.slot(), there.slot(), here.slot(), pytest.raises(SlotsTaken, match="All 3 connections"), there.slot():
        pass
    with there.slot(), there.slot(), there.slot():
        pass
    here.close()
    there.close()


def test_threads_of_one_process_queue_for_its_slots(database: Database) -> None:
    slots = DatabaseConnectionSlots(database, "account-1", slots=2, wait_seconds=0.05)
    with slots.slot(), slots.slot(), pytest.raises(SlotsTaken), slots.slot():
        pass
    slots.close()


def test_accounts_do_not_wait_for_each_other(database: Database) -> None:
    one, two = (
        DatabaseConnectionSlots(database, name, slots=1, wait_seconds=0.1) for name in ("account-1", "account-2")
    )
    with one.slot(), two.slot():
        pass
    one.close()
    two.close()


def test_many_threads_of_many_processes_never_use_more_than_the_account_has(database: Database) -> None:
    processes = [DatabaseConnectionSlots(database, "account-1", slots=3) for _ in range(3)]
    lock, in_use, most = threading.Lock(), 0, 0
    three = threading.Barrier(3)  # breaks unless all slots are in use at once

    def call(number: int) -> None:
        nonlocal in_use, most
        with processes[number % 3].slot():
            with lock:
                in_use += 1
                most = max(most, in_use)
            three.wait(TIMEOUT_SECONDS)
            with lock:
                in_use -= 1

    with ThreadPoolExecutor(9) as pool:
        list(pool.map(call, range(60)))
    for process in processes:
        process.close()
    assert most == 3


def test_slots_survive_the_end_of_their_connection_and_are_held_on_the_new_one(database: Database) -> None:
    here, there = (DatabaseConnectionSlots(database, "account-1", slots=2, wait_seconds=0.1) for _ in range(2))
    with here.slot():
        end_other_sessions(database)
        with here.slot(), pytest.raises(SlotsTaken), there.slot():
            pass
    with there.slot(), there.slot():
        pass
    here.close()
    there.close()


def test_a_slot_released_on_a_dead_connection_is_free(database: Database) -> None:
    slots = DatabaseConnectionSlots(database, "account-1", slots=1, wait_seconds=0.1)
    with slots.slot():
        end_other_sessions(database)
    with slots.slot():
        pass
    slots.close()
    slots.close()
