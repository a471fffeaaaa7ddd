"""Pauses between attempts: Retry-After and the time budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.mailchimp.transport import RetryBudget, retry_after
from mailchimp_pipeline_tests.mailchimp.builders import Time

NOON = "Sun, 06 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "Sun, 06 Nov 2026 12:01:30 GMT", "Date": NOON}, 90),
        ({"Retry-After": "Sun, 06 Nov 2026 11:00:00 GMT", "Date": NOON}, 0),
        ({"Retry-After": "Sun, 06 Nov 2026 12:01:30 GMT"}, None),
        ({"Retry-After": "Sun, 06 Nov 2026 12:01:30 -0000", "Date": NOON}, None),
        ({"Retry-After": "soon", "Date": NOON}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "9" * 5000}, None),
    ],
)
def test_retry_after_is_read_in_both_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@given(st.text(), st.text() | st.just(NOON))
def test_no_header_is_too_strange(after: str, date: str) -> None:
    seconds = retry_after({"Retry-After": after, "Date": date})
    assert seconds is None or seconds >= 0


@given(st.lists(st.none() | st.floats(0, 100), max_size=30), st.floats(0, 500))
def test_pauses_never_exceed_the_budget(wishes: list[float | None], budget: float) -> None:
    when = Time()
    patience = RetryBudget(when.retries(budget))
    for wish in wishes:
        patience.pause(wish)
    assert sum(when.pauses) <= budget + 1e-6


def test_pauses_are_jittered_and_bounded() -> None:
    when = Time()
    patience = RetryBudget(when.retries(1000))
    while patience.pause(None):
        pass
    assert 0.5 <= when.pauses[0] <= 1
    assert max(when.pauses) <= 30
    assert len(set(when.pauses)) == len(when.pauses)
