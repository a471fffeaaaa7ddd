"""`eventually` returns the first true value, and otherwise reports the last one."""

import pytest

from mailchimp_pipeline_tests.waiting import eventually


def test_the_first_true_value_is_returned() -> None:
    answers = iter([0, "", None, "there", "later"])
    assert eventually(lambda: next(answers)) == "there"


def test_a_timeout_reports_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"not true after 0.05 s. Its last value was \[\]"):
        eventually(list[int], seconds=0.05)


def test_an_error_of_the_condition_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        eventually(lambda: 1 // 0)
