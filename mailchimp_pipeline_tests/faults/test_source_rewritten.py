"""Source files rewritten during a read: a clear error, and the audience stays unchanged."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import pytest

from mailchimp_pipeline.contacts import EntityType, Source
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.services.resources import Resources
from mailchimp_pipeline.sources import FileSource, Quiet
from mailchimp_pipeline.sources.files import Stamp
from mailchimp_pipeline_tests.database.builders import LIST
from mailchimp_pipeline_tests.runs.company import Company, a_company
from mailchimp_pipeline_tests.source_fake import an_employee, backdate
from sandbox import Status

PEOPLE = 200


@pytest.fixture
def company(database_url: str, tmp_path: Path) -> Generator[Company]:
    """Return an organisation after its first sync."""
    with a_company(database_url, tmp_path) as made:
        made.set_employees(*(an_employee(id=str(number), email=f"p{number}@acme.test") for number in range(PEOPLE)))
        assert made.sync().error is None
        yield made


def cut_in_a_row(text: bytes) -> bytes:
    return text[: len(text) * 7 // 10 - 20]


def cut_between_rows(text: bytes) -> bytes:
    return b"".join(text.splitlines(keepends=True)[: PEOPLE // 3])


def nothing_yet(text: bytes) -> bytes:
    return text[:0]


def header_alone(text: bytes) -> bytes:
    return text.splitlines(keepends=True)[0]


@pytest.mark.parametrize("part", [cut_in_a_row, cut_between_rows, nothing_yet, header_alone])
def test_a_truncated_file_fails_the_segment_until_the_complete_file_arrives(
    company: Company, part: Callable[[bytes], bytes]
) -> None:
    file = company.files / "employees.csv"
    whole = file.read_bytes()
    file.write_bytes(part(whole))
    backdate(file)
    assert company.sync().error
    assert (company.stored_segment().member_count, company.sandbox.statuses(LIST)) == (
        PEOPLE,
        {Status.SUBSCRIBED: PEOPLE},
    )
    file.write_bytes(whole)
    backdate(file)
    assert (company.sync().error, company.sandbox.statuses(LIST)) == (None, {Status.SUBSCRIBED: PEOPLE})


@dataclass
class Rewriting:
    """Rewrites the file between two reads of its stamp."""

    file: Path
    text: bytes

    def stamp(self, path: Path) -> Stamp:
        """Return the stamp, after rewriting the file if it is the right one."""
        stamp = Stamp.of(path)
        if path == self.file:
            path.write_bytes(self.text)
        return stamp


@dataclass(frozen=True)
class Reading(Resources):
    """Resources with this source."""

    given: Source = field(kw_only=True)

    @cached_property
    def source(self) -> Source:
        return self.given


def reading_from(source: Source, parts: Resources) -> Reading:
    return Reading(**{part.name: getattr(parts, part.name) for part in fields(parts)}, given=source)


def test_a_file_that_is_rewritten_while_it_is_read_is_read_by_the_next_sync(company: Company) -> None:
    file = company.files / "employees.csv"
    *others, last = file.read_bytes().splitlines(keepends=True)
    rewriting = Rewriting(file, b"".join([*others, last, last.replace(b"199", b"999")]))
    source = FileSource(company.files, stamp=rewriting.stamp, quiet=Quiet(seconds=0))
    parts = reading_from(source, company.pipeline.resources)
    result = replace(company, pipeline=Pipeline(parts)).sync()
    assert "was rewritten while it was read" in (result.error or "")
    assert company.sandbox.statuses(LIST) == {Status.SUBSCRIBED: PEOPLE}
    assert source.read(EntityType.VENDOR, "acme").empty
    assert (company.sync().error, company.sandbox.statuses(LIST)) == (None, {Status.SUBSCRIBED: PEOPLE + 1})
