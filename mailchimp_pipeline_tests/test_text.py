"""The normalised form for comparing ids, headers and filter values."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import EntityType, contacts, normalised
from mailchimp_pipeline.contacts.text_columns import normalised_column, same_text, trimmed_column
from mailchimp_pipeline.segments import Exclusion, FilterCriteria, SegmentType
from mailchimp_pipeline.segments.segment import folded
from mailchimp_pipeline_tests.populations import membership, population_frame, suppressing
from mailchimp_pipeline_tests.source_fake import an_employee, rows

BLANKS = " \t\n\r\u0085\u00a0\u2003\u2028\u3000"
INVISIBLE = "\0\x07\u00ad\u200b\u200d\u200e\u2060\ufe0f\ufeff"
TEXTS = st.text(max_size=8) | st.text(
    alphabet=f"aZ 7\u00c9e\u0301\u017f\u0345\u1e9e\uff21\ufb01\u00a8\u1fb3{BLANKS}{INVISIBLE}", max_size=8
)


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("Human\u00a0Resources", "Human Resources"),
        (" Human \t\u2003 Resources\u200b", "Human Resources"),
        ("\ufeff00123", "00123"),
        ("\uff10\uff10\uff17", "007"),
        ("Ko\u0308ln", "K\u00f6ln"),
        ("soft\u00adhyphen", "softhyphen"),
        ("\u200b\u00a0", ""),
    ],
)
def test_what_looks_alike_has_one_form(written: str, form: str) -> None:
    assert normalised(written) == form


@given(TEXTS)
def test_the_form_of_a_form_is_itself(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)
    assert folded(folded(text)) == folded(text)


@given(TEXTS)
def test_a_form_has_single_blanks_inside_and_nothing_invisible(text: str) -> None:
    form = normalised(text)
    assert form == " ".join(form.split())
    assert unicodedata.is_normalized("NFKC", form)
    assert not set(form) & set(INVISIBLE)


@given(st.text(max_size=8), st.sampled_from(INVISIBLE), st.text(alphabet=BLANKS, min_size=1, max_size=3))
def test_invisible_characters_and_the_kind_of_blank_change_nothing(text: str, invisible: str, blanks: str) -> None:
    assert normalised(invisible.join(text)) == normalised(text)
    assert normalised(f"{blanks}{text}{blanks}{text}{blanks}") == normalised(f"{text} {text}")


@given(TEXTS)
def test_values_are_compared_without_regard_to_how_accents_and_letters_are_encoded(text: str) -> None:
    spellings = [unicodedata.normalize("NFD", text), unicodedata.normalize("NFKC", text), normalised(text)]
    assert {folded(spelling) for spelling in spellings} == {folded(text)}


@given(st.lists(st.none() | TEXTS, max_size=6), TEXTS)
def test_a_column_is_normalised_as_each_text_alone(texts: list[str | None], wanted: str) -> None:
    column = pa.array(texts, pa.string())
    forms = [None if text is None else normalised(text) for text in texts]
    assert normalised_column(column).to_pylist() == forms
    assert same_text(column, wanted).to_pylist() == [form == normalised(wanted) for form in forms]


@given(st.lists(st.none() | TEXTS, max_size=6))
def test_a_trimmed_text_is_missing_exactly_where_nothing_can_be_seen(texts: list[str | None]) -> None:
    trimmed = trimmed_column(pa.array(texts, pa.string())).to_pylist()
    for text, kept in zip(texts, trimmed, strict=True):
        assert (kept is None) == (not normalised(text or ""))
        assert kept is None or (kept in (text or "").replace("\0", "") and kept[0] not in BLANKS + INVISIBLE)


def test_an_id_with_an_invisible_character_is_the_same_entity() -> None:
    written = ("7", "7\u200b", " \uff17", "\u00a07")
    frame = contacts(rows(*(an_employee(id=id_) for id_ in written)), EntityType.EMPLOYEE)
    assert frame["entity_id"].tolist() == ["7"] * 4


def test_an_opt_out_with_another_spelling_of_the_id_suppresses_the_contact() -> None:
    suppressions = suppressing(("employee", " 7\u200b", "opted_out"))
    frame = population_frame([an_employee(id="\uff17")])
    found = membership(frame, SegmentType.EMPLOYEE, FilterCriteria(), suppressions)
    assert found.excluded == {Exclusion.OPTED_OUT: 1}


def test_names_are_sent_as_they_are_written() -> None:
    names = {"first_name": "\u200b\u0645\u06cc\u200c\u0646\u0627 ", "last_name": "Bolts\u2122  &\u00a0Sons"}
    frame = contacts(rows(an_employee(**names)), EntityType.EMPLOYEE)
    assert frame["first_name"].tolist() == ["\u0645\u06cc\u200c\u0646\u0627"]
    assert frame["last_name"].tolist() == ["Bolts\u2122  &\u00a0Sons"]


@pytest.mark.parametrize("written", ["Human\u00a0Resources", "human  resources", "\u200bHuman Resources\ufeff"])
def test_a_value_matches_however_its_blanks_are_written(written: str) -> None:
    frame = population_frame([an_employee(department=written)], [])
    for wanted in ("Human Resources", "Human\u00a0Resources", "HUMAN\tRESOURCES"):
        found = membership(frame, SegmentType.EMPLOYEE, FilterCriteria(department=(wanted,)))
        assert found.matching == 1
