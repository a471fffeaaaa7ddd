"""Interrupted work is repeated after pauses, and given up in the end."""

import time
from collections.abc import Callable
from threading import Event, Thread

import pytest

from mailchimp_pipeline.database.session import DatabaseRetry
from mailchimp_pipeline.errors import Interrupted, TransientError
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS


class Step:
    """Work that is interrupted this number of times."""

    def __init__(self, cut_off: int, kind: Callable[[], Exception] = Interrupted) -> None:
        self.left = cut_off
        self.kind = kind
        self.begun = 0

    def __call__(self) -> str:
        self.begun += 1
        if self.begun <= self.left:
            raise self.kind()
        return "done"


def test_interrupted_work_is_repeated() -> None:
    step = Step(cut_off=2)
    assert (DatabaseRetry((0, 0)).do(step), step.begun) == ("done", 3)


def test_work_that_stays_interrupted_is_given_up() -> None:
    step = Step(cut_off=9)
    with pytest.raises(Interrupted):
        DatabaseRetry((0, 0)).do(step)
    assert step.begun == 3


def test_after_an_exhausted_budget_nothing_is_repeated() -> None:
    database_retry, second = DatabaseRetry((0, 0)), Step(cut_off=9)
    for step in (Step(cut_off=9), second):
        with pytest.raises(Interrupted):
            database_retry.do(step)
    assert second.begun == 1


def test_other_errors_are_raised_at_once() -> None:
    step = Step(cut_off=1, kind=TransientError)
    with pytest.raises(TransientError):
        DatabaseRetry((0,)).do(step)
    assert step.begun == 1


def test_a_stop_ends_the_pause() -> None:
    over = Event()
    Thread(target=over.set).start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        DatabaseRetry((600,), over).do(Step(cut_off=9))
    assert time.monotonic() - begun < TIMEOUT_SECONDS
