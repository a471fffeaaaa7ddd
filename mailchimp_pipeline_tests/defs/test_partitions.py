"""Runs contain whole organisations, as many as fit."""

from itertools import groupby, pairwise

from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.defs.sync_runs import whole_organisations

SIZES = st.lists(st.integers(1, 9), max_size=12)


def _keys(sizes: list[int]) -> list[str]:
    return [f"org/{number}/{segment}" for number, size in enumerate(sizes) for segment in range(size)]


def _organisations(keys: list[str]) -> list[str]:
    return [organisation for organisation, _ in groupby(keys, key=lambda key: key.rpartition("/")[0])]


@given(SIZES, st.integers(1, 8))
def test_every_segment_is_in_one_run_and_no_organisation_is_cut(sizes: list[int], per_run: int) -> None:
    runs = list(whole_organisations(_keys(sizes), per_run))
    assert [key for run in runs for key in run] == _keys(sizes)
    assert sum(len(_organisations(run)) for run in runs) == len(sizes)


@given(SIZES, st.integers(1, 8))
def test_a_run_is_full_and_is_longer_only_for_a_single_organisation(sizes: list[int], per_run: int) -> None:
    runs = list(whole_organisations(_keys(sizes), per_run))
    assert all(len(run) <= per_run or len(_organisations(run)) == 1 for run in runs)
    for run, following in pairwise(runs):
        first = _organisations(following)[0]
        assert len(run) + sum(key.startswith(f"{first}/") for key in following) > per_run


def test_an_organisation_with_too_many_segments_is_a_run_of_its_own() -> None:
    keys = ["a/1", "b/1", "b/2", "b/3", "c/1", "c/2"]
    assert list(whole_organisations(keys, 2)) == [["a/1"], ["b/1", "b/2", "b/3"], ["c/1", "c/2"]]
