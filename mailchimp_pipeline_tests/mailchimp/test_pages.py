"""Listings are read completely while they change."""

from collections.abc import Callable
from itertools import count
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailchimp_pipeline.mailchimp import Retries
from mailchimp_pipeline.mailchimp.api_errors import TimedOut, Unavailable
from mailchimp_pipeline.mailchimp.transport import read_pages
from mailchimp_pipeline.mailchimp.wire_models import Call, EntryPage, MergeFieldEntry, Wire
from mailchimp_pipeline_tests.mailchimp.builders import LIST_ID, Time, a_client, a_list, a_problem
from mailchimp_pipeline_tests.mailchimp.scripted import Reply, scripted

A_LISTING = Call("GET", "/lists/a1/merge-fields", "listing")


_Model = TypeVar("_Model", bound=Wire)


class Shelf:
    """A transport with a listing that changes between pages."""

    def __init__(self, entries: list[str], limit: int, change: Callable[[list[str], int], None]) -> None:
        self.entries = entries
        self.requests = 0
        self._limit = limit
        self._change = change

    def fetch(self, call: Call, model: type[_Model]) -> _Model:
        """Return the requested page."""
        self._change(self.entries, self.requests)
        self.requests += 1
        offset, count = int(call.params["offset"]), min(int(call.params["count"]), self._limit)
        found = [{"tag": entry} for entry in self.entries[offset : offset + count]]
        return model.model_validate({"merge_fields": found, "total_items": len(self.entries)})


def read(shelf: Shelf) -> list[str]:
    pages = read_pages(shelf, A_LISTING, EntryPage[MergeFieldEntry])
    return [field.tag for page in pages for field in page]


@given(st.integers(0, 40), st.integers(1, 9))
def test_every_entry_comes_once_while_nothing_changes(total: int, limit: int) -> None:
    entries = [f"T{number}" for number in range(total)]
    assert read(Shelf(entries, limit, lambda _entries, _page: None)) == entries


@given(st.integers(1, 40), st.integers(1, 9), st.dictionaries(st.integers(1, 20), st.integers(0, 40), max_size=6))
@settings(max_examples=200)
def test_an_entry_that_stays_is_not_missed_when_others_go(total: int, limit: int, gone: dict[int, int]) -> None:
    def remove(entries: list[str], page: int) -> None:
        if page in gone and gone[page] < len(entries):
            del entries[gone[page]]

    shelf = Shelf([f"T{number}" for number in range(total)], limit, remove)
    came = set(read(shelf))
    assert set(shelf.entries) <= came


def test_all_audiences_are_read_not_the_first_ten() -> None:
    first = {"lists": [a_list(f"l{number}") for number in range(10)], "total_items": 12}
    second = {"lists": [a_list("l10"), a_list("l11")], "total_items": 12}
    with scripted(Reply(body=first), Reply(body=second)) as script, a_client(script.root) as client:
        assert len(client.audiences()) == 12
    assert [(asked.query["count"], asked.query["offset"]) for asked in script.requests] == [
        ("1000", "0"),
        ("1000", "10"),
    ]


BROKEN_OFF = (Reply(200, b'{"lists":'), Reply(200, b'{"lists": []', announced=500))
AWAY = (Reply(cut=True), Reply(502, b"<html>"), Reply(503), Reply(500, a_problem(500, "Internal Server Error")))


def sizes_asked_for(*failures: Reply, when: Time | None = None) -> list[str]:
    """Return the requested page sizes until two pages are read."""
    pages = [Reply(body={"lists": [a_list(name)], "total_items": 2}) for name in ("l1", "l2")]
    retries = (when or Time()).retries()
    with scripted(*failures, *pages) as script, a_client(script.root, retries=retries) as client:
        assert [audience.id for audience in client.audiences()] == ["l1", "l2"]
    return [asked.query["count"] for asked in script.requests]


@pytest.mark.parametrize("failures", [[Reply(504, b"<html>")], [*BROKEN_OFF]])
def test_a_page_that_is_too_large_is_asked_for_in_smaller_ones(failures: list[Reply]) -> None:
    assert sizes_asked_for(*failures) == ["1000"] * len(failures) + ["500", "500"]


@pytest.mark.parametrize("failure", BROKEN_OFF)
def test_an_answer_that_broke_off_once_makes_no_page_smaller(failure: Reply) -> None:
    assert sizes_asked_for(failure, when=(when := Time())) == ["1000", "1000", "1000"]
    assert len(when.pauses) == 1


@pytest.mark.parametrize("failure", AWAY)
def test_a_mailchimp_that_is_away_makes_no_page_smaller(failure: Reply) -> None:
    assert sizes_asked_for(*[failure] * 4, when=(when := Time())) == ["1000"] * 6
    assert len(when.pauses) == 4


@pytest.mark.parametrize("failure", [Reply(cut=True), Reply(502, b"<html>")])
def test_a_connection_closed_after_half_a_minute_halves_the_page_size(failure: Reply) -> None:
    pages = [Reply(body={"lists": [a_list(name)], "total_items": 2}) for name in ("l1", "l2")]
    ticks = count(step=31)
    rule = Retries(budget=1000, sleep=lambda _: None, clock=lambda: float(next(ticks)))
    with scripted(failure, *pages) as script, a_client(script.root, retries=rule) as client:
        assert len(client.audiences()) == 2
    assert [asked.query["count"] for asked in script.requests] == ["1000", "500", "500"]


def test_the_smallest_page_is_retried_with_the_full_budget() -> None:
    when = Time()
    with (
        scripted(Reply(504, b"<html>")) as script,
        a_client(script.root, retries=when.retries(10)) as client,
        pytest.raises(TimedOut),
    ):
        client.audiences()
    assert [asked.query["count"] for asked in script.requests][:3] == ["1000", "500", "100"]
    assert len(when.pauses) > 2


def test_a_large_page_that_is_throttled_is_asked_for_again_after_a_pause() -> None:
    when, page = Time(), Reply(body={"lists": [], "total_items": 0})
    with scripted(Reply(429), page) as script, a_client(script.root, retries=when.retries()) as client:
        assert client.audiences() == ()
    assert [asked.query["count"] for asked in script.requests] == ["1000", "1000"]
    assert len(when.pauses) == 1


def test_a_part_is_not_taken_for_the_whole() -> None:
    pages = [Reply(body={"lists": [a_list()], "total_items": 3}), Reply(body={"lists": [], "total_items": 3})]
    with (
        scripted(*pages) as script,
        a_client(script.root) as client,
        pytest.raises(Unavailable, match=r"announced 3 entries .* and gave 1"),
    ):
        client.audiences()


def test_the_merge_tags_of_all_pages_come_together() -> None:
    first = {"merge_fields": [{"tag": "FNAME"}, {"tag": "LNAME"}], "total_items": 3}
    second = {"merge_fields": [{"tag": "MMERGE3", "required": True}], "total_items": 3}
    with scripted(Reply(body=first), Reply(body=second)) as script, a_client(script.root) as client:
        assert {field.tag for field in client.merge_fields(LIST_ID)} == {"FNAME", "LNAME", "MMERGE3"}
