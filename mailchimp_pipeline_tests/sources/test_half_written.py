"""A source waits a while for files that are being written."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.sources import FileSource, Quiet, SourceChangedError


@dataclass
class Writer:
    """Writes a row during each of the first sleeps. `now` is the time of both clocks."""

    file: Path
    rows: int
    now: float = 1_000_000.0
    slept: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds
        if self.rows:
            self.rows -= 1
            self.write()

    def write(self) -> None:
        with self.file.open("a") as file:
            file.write("acme,1,a@x.test,Ada\n")
        os.utime(self.file, (self.now, self.now))

    def source(self) -> FileSource:
        return FileSource(self.file.parent, quiet=Quiet(3, 20, lambda: self.now, self.sleep))


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    """Return a writer that has just started."""
    (tmp_path / "employees.csv").write_text("organisation_id,id,email,first_name\n")
    made = Writer(tmp_path / "employees.csv", rows=4)
    made.write()
    return made


def rows_of(source: FileSource) -> int:
    return len(source.read(EntityType.EMPLOYEE, "acme"))


def test_half_a_file_whose_writer_is_slow_is_waited_for(writer: Writer) -> None:
    source = writer.source()
    assert (rows_of(source), writer.slept) == (5, 15)
    assert (rows_of(source), writer.slept) == (5, 15)


def test_a_file_that_is_still_written_is_a_transient_error(writer: Writer) -> None:
    writer.rows = 1000
    with pytest.raises(SourceChangedError, match=r"employees\.csv was still being written after 18 s.*rename it"):
        rows_of(writer.source())


def test_a_file_that_was_written_a_while_ago_is_read_at_once(writer: Writer) -> None:
    writer.now += 3
    assert (rows_of(writer.source()), writer.slept) == (1, 0)


def test_a_file_that_a_machine_with_another_clock_has_written_is_watched(writer: Writer) -> None:
    writer.rows, writer.now = 0, writer.now - 3600
    assert (rows_of(writer.source()), writer.slept) == (1, 3)
