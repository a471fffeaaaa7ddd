"""Files as a source: discovery, caching and errors."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Hashable
from csv import QUOTE_ALL
from csv import reader as csv_reader
from csv import writer as csv_writer
from decimal import Decimal
from itertools import count
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailchimp_pipeline.contacts import EntityType, MissingColumnError
from mailchimp_pipeline.errors import TransientError, without_places
from mailchimp_pipeline.sources import FileSource, Quiet, SourceChangedError, UnreadableSourceError, open_source
from mailchimp_pipeline.sources.csv_format import read_csv
from mailchimp_pipeline.sources.files import Stamp
from mailchimp_pipeline_tests.source_fake import an_employee, rows

EMPLOYEE = EntityType.EMPLOYEE
WriteCsv = Callable[[str | bytes], FileSource]
AT_ONCE = Quiet(seconds=0)
HEADER = "organisation_id,id,email,first_name\n"


@pytest.fixture
def csv(tmp_path: Path) -> WriteCsv:
    """Return a function that writes employees.csv and returns its source."""

    def write(content: str | bytes) -> FileSource:
        (tmp_path / "employees.csv").write_bytes(content.encode() if isinstance(content, str) else content)
        return FileSource(tmp_path, quiet=AT_ONCE)

    return write


def read(source: FileSource) -> list[dict[Hashable, str]]:
    return source.read(EMPLOYEE, "acme").to_dict("records")


def test_a_file_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSourceError, match=r"no employees\.csv or employees\.parquet in .*header alone"):
        FileSource(tmp_path, quiet=AT_ONCE).read(EMPLOYEE, "acme")
    with pytest.raises(UnreadableSourceError, match="There is no employees"):
        FileSource(tmp_path / "nowhere").describe(EMPLOYEE)


def test_two_files_of_one_relation_are_one_too_many(tmp_path: Path) -> None:
    rows(an_employee()).to_csv(tmp_path / "employees.csv", index=False)
    rows(an_employee()).to_parquet(tmp_path / "employees.parquet")
    with pytest.raises(UnreadableSourceError, match=r"Both employees\.csv and employees\.parquet"):
        FileSource(tmp_path, quiet=AT_ONCE).read(EMPLOYEE, "acme")


def test_a_file_is_read_once_for_all_organisations_and_again_when_it_changed(csv: WriteCsv) -> None:
    source = csv(HEADER + "acme,1,a@x.test,Ada\nglobe,2,b@x.test,Bob\n")
    assert read(source)[0]["first_name"] == "Ada"
    before = source.describe(EMPLOYEE)
    csv(HEADER + "acme,1,a@x.test,Adele\n")
    assert read(source)[0]["first_name"] == "Adele"
    assert source.describe(EMPLOYEE) != before


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_noticed(tmp_path: Path, csv: WriteCsv) -> None:
    source = csv(HEADER + "acme,1,a@x.test,Ada\n")
    read(source)
    path, status = tmp_path / "employees.csv", (tmp_path / "employees.csv").stat()
    (tmp_path / "new").write_text(HEADER + "acme,1,a@x.test,Eve\n")
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "new").replace(path)
    assert read(source)[0]["first_name"] == "Eve"


def test_a_file_rewritten_while_it_is_read_is_to_be_tried_again(tmp_path: Path, csv: WriteCsv) -> None:
    csv(HEADER)
    changing = count()
    source = FileSource(tmp_path, stamp=lambda _: Stamp(modified_ns=next(changing), size=1, inode=1), quiet=AT_ONCE)
    with pytest.raises(SourceChangedError, match="rewritten while it was read") as error:
        source.read(EMPLOYEE, "acme")
    assert isinstance(error.value, TransientError)


def test_a_file_that_vanishes_while_it_is_looked_at_is_named(tmp_path: Path, csv: WriteCsv) -> None:
    csv(HEADER)

    def vanishing(path: Path) -> Stamp:
        path.unlink(missing_ok=True)
        return Stamp.of(path)

    with pytest.raises(UnreadableSourceError, match=r"employees\.csv cannot be read \(FileNotFoundError\)") as error:
        read(FileSource(tmp_path, stamp=vanishing))
    assert error.value.__suppress_context__


READ_AS_NOBODY = """
import os, sys
from pathlib import Path
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.sources import FileSource
if os.geteuid() == 0:
    os.setgid(65534), os.setuid(65534)
try:
    FileSource(Path(sys.argv[1])).describe(EntityType.EMPLOYEE)
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_directory_that_we_may_not_search_is_named(tmp_path: Path, csv: WriteCsv) -> None:
    csv(HEADER)
    tmp_path.chmod(0)
    reading = [sys.executable, "-c", READ_AS_NOBODY, str(tmp_path)]
    said = subprocess.run(reading, cwd="/", check=True, capture_output=True, text=True).stdout
    tmp_path.chmod(0o700)
    assert said.startswith("UnreadableSourceError The source's directory cannot be read (PermissionError)")
    assert str(tmp_path) in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_we_may_not_read_is_named(tmp_path: Path, csv: WriteCsv) -> None:
    source = csv(HEADER)
    (tmp_path / "employees.csv").chmod(0)
    with pytest.raises(UnreadableSourceError, match="PermissionError"):
        source.read(EMPLOYEE, "acme")


def test_a_directory_has_no_tables_or_queries(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSourceError, match="Unset MAILCHIMP_PIPELINE_EMPLOYEES"):
        open_source(str(tmp_path), employees="hr.people")


# CSV


def test_a_byte_order_mark_and_names_in_another_case_are_tolerated(csv: WriteCsv) -> None:
    source = csv(b"\xef\xbb\xbf" + b"Organisation_ID, Id ,EMAIL,first_name\r\nacme,007,a@x.test,Ada\r\n")
    assert read(source) == [{"organisation_id": "acme", "id": "007", "email": "a@x.test", "first_name": "Ada"}]


def test_invisible_characters_and_other_blanks_in_names_are_tolerated(csv: WriteCsv) -> None:
    source = csv("\u200borganisation_id,\uff29\uff24,email\u00a0,first_name\nacme,1,a@x.test,Ada\n")
    assert list(read(source)[0]) == ["organisation_id", "id", "email", "first_name"]


def test_a_last_line_without_an_end_is_a_row_like_any_other(csv: WriteCsv) -> None:
    assert len(read(csv(HEADER + "acme,1,a@x.test,Ada"))) == 1
    assert read(csv(HEADER.rstrip())) == []


def test_blank_lines_are_no_rows(csv: WriteCsv) -> None:
    source = csv("\n" + HEADER + '\nacme,1,a@x.test,"A\n\nda"\n\n')
    assert [row["first_name"] for row in read(source)] == ["A\n\nda"]


def test_blanks_around_the_organisation_do_not_hide_a_row(csv: WriteCsv) -> None:
    assert len(read(csv(HEADER + " acme ,1,a@x.test,Ada\n\u200bacme\u00a0,2,b@x.test,Bob\n"))) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ('"Ada"', "Ada"),
        ('"A ""Countess"" B"', 'A "Countess" B'),
        ('""', ""),
        ('""""', '"'),
        ('"""Ada"""', '"Ada"'),
        ('",\r\n"', ",\r\n"),
        ("NULL", "NULL"),
        ("nan", "nan"),
    ],
)
def test_quotes_are_read_as_spreadsheets_write_them(csv: WriteCsv, field: str, value: str) -> None:
    last, middle = csv(HEADER + f"acme,1,a@x.test,{field}\n"), f"organisation_id,first_name,id\nacme,{field},1\n"
    assert read(last)[0]["first_name"] == value
    assert read(csv(middle))[0]["first_name"] == value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            HEADER + "acme,1,a@x.test,Ada\nacme,2,secret@x.test,Bob,more\n",
            "line 3, has 5 fields where the header has 4",
        ),
        (HEADER + "acme,1,a@x.test,Ada\nacme,2,secr", "line 3, has 3 fields where the header has 4"),
        (HEADER + '\nacme,1,a@x.test,"A\nB"\nsecret\n', "line 5, has 1 fields where the header has 4"),
        (HEADER + 'acme,1,a@x.test,"secret\nacme,2,b@x.test,Bob\n', "line 2, has a quote"),
        (HEADER + 'acme,1,a@x.test,"Ada"secret\nacme,2,b@x.test,"Bob\n"', "line 2, has a quote"),
        (HEADER.encode() + "acme,1,a@x.test,Secrét\n".encode("latin-1"), "line 2, is not UTF-8"),
        ("Søcret,id\n".encode("latin-1"), "line 1, is not UTF-8"),
        (HEADER.replace(",", ";") + "acme;1;secret;Ada\n", "is not separated by commas"),
        (HEADER.replace(",", "\t") + "acme\t1\tsecret\tAda\n", "is not separated by commas"),
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("organisation_id,id,email,ID\n", "column 'id' 2 times"),
        ('organisation_id,"id\nsecret', "line 1, has a quote"),
        (HEADER + 'acme,1,a@x.test,Jo "Secret" Doe\n', "line 2, has a quote within a field"),
        (HEADER + 'acme,1,a@x.test,""secret\n', "line 2, has a quote"),
        (HEADER + f"acme,1,a@x.test,{'secret' * 400_000}\n", "is not a well-formed CSV file"),
    ],
)
def test_a_csv_error_has_its_line_and_no_data(csv: WriteCsv, tmp_path: Path, content: str | bytes, said: str) -> None:
    with pytest.raises(UnreadableSourceError, match=rf"employees\.csv.* {said}|employees\.csv {said}") as error:
        csv(content).read(EMPLOYEE, "acme")
    assert "secr" not in str(error.value).lower()
    assert str(tmp_path) in str(error.value)
    assert str(tmp_path) not in without_places(str(error.value))
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


@given(st.text(alphabet='ab,"\n\r ', max_size=40))
def test_what_is_accepted_is_read_as_a_strict_reader_reads_it(body: str) -> None:
    content = f"organisation_id,id\n{body}"
    try:
        columns = read_csv(lambda: io.BytesIO(content.encode()), Path("employees.csv"))
    except UnreadableSourceError:
        return
    strict = [row for row in csv_reader(io.StringIO(content, newline=""), strict=True) if row][1:]
    assert [list(row) for row in zip(*(column.to_pylist() for column in columns.values()), strict=True)] == strict


@given(st.lists(st.tuples(st.text(max_size=8), st.text(alphabet='a,"\n\r\u00e9', max_size=8)), max_size=4))
def test_what_is_written_well_is_read_back(written: list[tuple[str, str]]) -> None:
    content = io.StringIO(newline="")
    csv_writer(content, quoting=QUOTE_ALL).writerows([("organisation_id", "id"), *written])
    columns = read_csv(lambda: io.BytesIO(content.getvalue().encode()), Path("employees.csv"))
    assert list(zip(*(column.to_pylist() for column in columns.values()), strict=True)) == written


def test_a_column_that_is_not_there_is_named_also_beside_odd_names(csv: WriteCsv) -> None:
    with pytest.raises(MissingColumnError, match="organisation_id"):
        csv("organisation,id,email,notes\nacme,1,a@x.test,a;b\n").read(EMPLOYEE, "acme")
    with pytest.raises(MissingColumnError, match="organisation_id"):
        csv("organisation,notes\nacme,a\n").read(EMPLOYEE, "acme")


# Parquet


def test_ids_that_pandas_made_into_floats_are_whole_numbers_again(tmp_path: Path) -> None:
    frame = pd.DataFrame({"organisation_id": ["acme"] * 2, "id": [7, None], "location": [0.5, float("nan")]})
    frame.to_parquet(tmp_path / "employees.parquet")
    read_back = FileSource(tmp_path, quiet=AT_ONCE).read(EMPLOYEE, "acme")
    assert read_back["id"].tolist() == ["7", pd.NA]
    assert read_back["location"].tolist() == ["0.5", pd.NA]


def test_whole_decimals_of_a_parquet_file_have_no_fraction(tmp_path: Path) -> None:
    decimals = pd.ArrowDtype(pa.decimal128(30, 2))
    frame = pd.DataFrame({"organisation_id": [Decimal(12)], "id": [Decimal(10**20)], "location": [Decimal("0.5")]})
    frame.astype(decimals).to_parquet(tmp_path / "employees.parquet")
    read_back = FileSource(tmp_path, quiet=AT_ONCE).read(EMPLOYEE, "12").to_dict("records")
    assert read_back == [{"organisation_id": "12", "id": "1" + 20 * "0", "location": "0.50"}]


def test_other_types_become_text(tmp_path: Path) -> None:
    frame = pd.DataFrame({"Organisation_Id": ["acme"], "id": [7], "first_name": ["Ada"]})
    frame.astype({"Organisation_Id": "category", "id": "int32"}).to_parquet(tmp_path / "employees.parquet")
    assert read(FileSource(tmp_path, quiet=AT_ONCE)) == [{"organisation_id": "acme", "id": "7", "first_name": "Ada"}]


def test_what_has_no_text_form_is_named(tmp_path: Path) -> None:
    frame = pd.DataFrame({"organisation_id": ["acme"], "email": [["secret@x.test"]]})
    frame.to_parquet(tmp_path / "employees.parquet")
    with pytest.raises(UnreadableSourceError, match=r"column 'email' of .*employees\.parquet holds list"):
        FileSource(tmp_path, quiet=AT_ONCE).read(EMPLOYEE, "acme")


def test_a_broken_parquet_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "employees.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(UnreadableSourceError, match=r"employees\.parquet is not a readable Parquet file"):
        FileSource(tmp_path, quiet=AT_ONCE).read(EMPLOYEE, "acme")
