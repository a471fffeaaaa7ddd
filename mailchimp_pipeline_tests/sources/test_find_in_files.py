"""Finding one contact in a file: across blocks, with and without a cache, and during writes."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.sources import FileSource, Quiet, SourceChangedError, UnreadableSourceError
from mailchimp_pipeline.sources.files import Stamp

EMPLOYEE = EntityType.EMPLOYEE
WriteCsv = Callable[[str], FileSource]
AT_ONCE = Quiet(seconds=0)
HEADER = "organisation_id,id,email,first_name\n"


@pytest.fixture
def csv(tmp_path: Path) -> WriteCsv:
    """Return a function that writes employees.csv and returns its source."""

    def write(content: str) -> FileSource:
        (tmp_path / "employees.csv").write_text(content)
        return FileSource(tmp_path, quiet=AT_ONCE)

    return write


SEVERAL_BLOCKS = 'acme,7,a@x.test,"A ""B"",\nC"\n' * 100_000


@pytest.mark.parametrize(
    ("first", "last", "line"),
    [
        ('acme,"never closed,a@x.test,A\n', "", 3),
        ("", 'acme,7,a@x.test,never "closed"\n', 200_002),
        ("", 'acme,7,a@x.test,"never closed\n', 200_002),
    ],
)
def test_quotes_are_followed_from_one_block_of_a_file_to_the_next(
    csv: WriteCsv, first: str, last: str, line: int
) -> None:
    with pytest.raises(UnreadableSourceError, match=f"line {line}, has a quote"):
        csv(HEADER + first + SEVERAL_BLOCKS + last).find(EMPLOYEE, "acme", "7")


def test_a_contact_is_found_in_any_block_of_a_file(csv: WriteCsv) -> None:
    source = csv(HEADER + 'acme,1,a@x.test,"A\n"\n' + SEVERAL_BLOCKS + "acme,8,b@x.test,B")
    assert source.find(EMPLOYEE, "acme", "1")["first_name"].tolist() == ["A\n"]
    assert source.find(EMPLOYEE, "acme", "8")["first_name"].tolist() == ["B"]
    assert len(source.find(EMPLOYEE, "acme", "7")) == 100_000


def test_a_contact_is_found_in_a_file_that_was_read_before_and_after_it_changed(csv: WriteCsv) -> None:
    source = csv(HEADER + "acme,1,a@x.test,Ada\n")
    source.read(EMPLOYEE, "acme")
    assert source.find(EMPLOYEE, "acme", "1")["first_name"].tolist() == ["Ada"]
    csv(HEADER + "acme,1,a@x.test,Adele\n")
    assert source.find(EMPLOYEE, "acme", "1")["first_name"].tolist() == ["Adele"]


def test_a_file_rewritten_while_a_contact_is_looked_for_is_to_be_tried_again(tmp_path: Path, csv: WriteCsv) -> None:
    csv(HEADER + 'acme,1,a@x.test,"half')
    changing = count()
    source = FileSource(tmp_path, stamp=lambda _: Stamp(modified_ns=next(changing), size=1, inode=1), quiet=AT_ONCE)
    with pytest.raises(SourceChangedError, match="rewritten while it was read") as error:
        source.find(EMPLOYEE, "acme", "1")
    assert error.value.__suppress_context__
