"""Parallel tasks keep the connections busy, and started tasks finish."""

from collections.abc import Callable, Iterator
from threading import Barrier, Event, Lock

import pytest

from mailchimp_pipeline.sync import CONNECTIONS
from mailchimp_pipeline.sync.tasks import AT_ONCE, Stopped, in_parallel
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS


def never() -> bool:
    return False


def test_every_task_is_done_once() -> None:
    tasks = (lambda number=number: number for number in range(100))
    assert sorted(in_parallel(tasks, never)) == list(range(100))


def test_more_run_at_once_than_there_are_connections() -> None:
    meeting = Barrier(AT_ONCE)  # breaks unless all tasks run at once

    def meet() -> int:
        return meeting.wait(TIMEOUT_SECONDS)

    assert len(list(in_parallel([meet] * AT_ONCE, never))) == AT_ONCE > CONNECTIONS


def test_tasks_are_not_made_long_before_they_are_done() -> None:
    made, done, lock = [0], [0], Lock()

    def do() -> int:
        with lock:
            done[0] += 1
            return made[0] - done[0]

    def tasks() -> Iterator[Callable[[], int]]:
        for _ in range(500):
            made[0] += 1
            yield do

    assert max(in_parallel(tasks(), never)) <= 2 * CONNECTIONS


def test_a_failure_waits_for_those_under_way() -> None:
    begun, failed, finished = Event(), Event(), list[int]()

    def slow() -> None:
        begun.set()
        assert failed.wait(TIMEOUT_SECONDS)
        finished.append(1)

    def fail() -> None:
        assert begun.wait(TIMEOUT_SECONDS)
        failed.set()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_parallel([slow, fail], never))
    assert finished == [1]


def test_waiting_tasks_do_not_start_after_a_stop() -> None:
    all_begun, done, stopped = Barrier(AT_ONCE), list[int](), Event()

    def do() -> None:
        done.append(all_begun.wait(TIMEOUT_SECONDS))
        stopped.set()

    with pytest.raises(Stopped):
        list(in_parallel([do] * 3 * AT_ONCE, stopped.is_set))
    assert sorted(done) == list(range(AT_ONCE))


def test_an_error_of_the_stop_check_ends_the_work() -> None:
    done = list[int]()

    def stopping() -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(in_parallel([lambda: done.append(1)], stopping))
    assert done == []
