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


def test_what_is_cut_off_is_begun_again() -> None:
    step = Step(cut_off=2)
    assert (DatabaseRetry((0, 0)).do(step), step.begun) == ("done", 3)


def test_what_stays_cut_off_is_given_up() -> None:
    step = Step(cut_off=9)
    with pytest.raises(Interrupted):
        DatabaseRetry((0, 0)).do(step)
    assert step.begun == 3


def test_after_waiting_in_vain_nothing_else_is_waited_for() -> None:
    database_retry, second = DatabaseRetry((0, 0)), Step(cut_off=9)
    for step in (Step(cut_off=9), second):
        with pytest.raises(Interrupted):
            database_retry.do(step)
    assert second.begun == 1


def test_any_other_failure_is_told_at_once() -> None:
    step = Step(cut_off=1, kind=TransientError)
    with pytest.raises(TransientError):
        DatabaseRetry((0,)).do(step)
    assert step.begun == 1


def test_whoever_is_told_to_stop_waits_no_longer() -> None:
    over = Event()
    Thread(target=over.set).start()
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        DatabaseRetry((600,), over).do(Step(cut_off=9))
    assert time.monotonic() - begun < TIMEOUT_SECONDS
