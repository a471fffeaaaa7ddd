"""`eventually` returns the first true value, and otherwise reports the last one."""

import pytest

from mailchimp_pipeline_tests.waiting import eventually


def test_the_first_answer_that_is_true_is_returned() -> None:
    answers = iter([0, "", None, "there", "later"])
    assert eventually(lambda: next(answers)) == "there"


def test_what_never_comes_is_told_with_the_last_answer() -> None:
    with pytest.raises(AssertionError, match=r"not so after 0.05 s: the last answer was \[\]"):
        eventually(list[int], seconds=0.05)


def test_what_asking_raises_is_not_waited_for() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 // 0)
