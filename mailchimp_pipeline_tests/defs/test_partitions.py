"""Ranges of partitions: the fewest that hold what is wanted and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.defs.partitions import contiguous_ranges

KEYS = st.lists(st.text("abc", min_size=1, max_size=4), unique=True, max_size=20)


def _held(keys: list[str], ranges: list[tuple[str, str]]) -> list[str]:
    return [key for first, last in ranges for key in keys[keys.index(first) : keys.index(last) + 1]]


@given(KEYS, st.data(), st.integers(1, 8))
def test_ranges_hold_all_that_is_wanted_once_and_nothing_else(
    keys: list[str], data: st.DataObject, longest: int
) -> None:
    wanted = data.draw(st.sets(st.sampled_from(keys))) if keys else set[str]()
    ranges = list(contiguous_ranges(keys, wanted, longest))
    assert _held(keys, ranges) == [key for key in keys if key in wanted]
    assert all(len(_held(keys, [each])) <= longest for each in ranges)


def test_a_key_that_is_not_wanted_parts_two_ranges() -> None:
    assert list(contiguous_ranges(["a", "b", "c", "d"], {"a", "b", "d"}, 10)) == [("a", "b"), ("d", "d")]


def test_a_range_is_no_longer_than_a_run_takes() -> None:
    assert list(contiguous_ranges(["a", "b", "c"], {"a", "b", "c"}, 2)) == [("a", "b"), ("c", "c")]


def test_a_wanted_key_that_dagster_does_not_know_is_passed_over() -> None:
    assert list(contiguous_ranges(["a"], {"a", "z"}, 10)) == [("a", "a")]
