"""The recipes of CONTRIBUTING.md in a copy of the code: the files that they name are sufficient."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mailchimp_pipeline.settings import PROJECT_ROOT

EMPLOYEES = """organisation_id,id,email,first_name,last_name,department,location,employment_type,\
employment_status,cost_centre
acme,1,ann@acme.test,Ann,Byron,Sales,Berlin,full_time,active,C1
acme,2,bob@acme.test,Bob,Byron,Sales,Berlin,full_time,active,C2
"""

MEMBERS = """
import os, sys
from pathlib import Path
import pandas as pd
from mailchimp_pipeline.contacts import ARROW_STRING, EntityType, read_contacts
from mailchimp_pipeline.segments import FilterCriteria, Population, SegmentType, Suppressions
from mailchimp_pipeline.sources import open_source

os.utime(Path(sys.argv[1]) / "employees.csv", (1, 1))
contacts = read_contacts(open_source(sys.argv[1]), "acme", [EntityType.EMPLOYEE])
nobody = pd.DataFrame({name: pd.Series([], dtype=ARROW_STRING) for name in
    ("entity_type", "entity_id", "subscriber_hash", "reason")})
population = Population.prepare(contacts, Suppressions(entities=nobody, addresses=nobody))
found = population.membership(SegmentType.EMPLOYEE, FilterCriteria.model_validate({"costCentre": ["C1"]}))
print(*found.members["entity_id"])
"""

PROCEDURE = '''

@router.query("count")
def count(context: Context, wanted: PageInput | None) -> int:
    """Return how many segments there are."""
    return len(list_segments(context, wanted).items)
'''


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of the code."""
    for package in ("mailchimp_pipeline", "api"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT_ROOT / package, tmp_path / package, ignore=ignored)
    return tmp_path


def insert_after(file: Path, text: str, more: str) -> None:
    before = file.read_text()
    assert before.count(text) == 1
    file.write_text(before.replace(text, text + more))


def run(copy: Path, program: str, *arguments: str) -> str:
    """Run a program in the copy and return its output."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(copy)!r})\n{program}", *arguments]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_filter_criterion_takes_two_files(copy: Path) -> None:
    insert_after(
        copy / "mailchimp_pipeline/contacts/relations.py", '"employment_type", "employment_status"', ', "cost_centre"'
    )
    insert_after(
        copy / "mailchimp_pipeline/segments/segment.py",
        "    employment_status: Values = ()\n",
        "    cost_centre: Values = ()\n",
    )
    (copy / "employees.csv").write_text(EMPLOYEES)
    assert run(copy, MEMBERS, str(copy)).split() == ["1"]
    assert "costCentre" in run(copy, "from api.app_router import app_router_types; print(app_router_types())")


def test_a_procedure_takes_one_file(copy: Path) -> None:
    module = copy / "api/procedures/segments.py"
    module.write_text(module.read_text() + PROCEDURE)
    types = run(copy, "from api.app_router import app_router_types; print(app_router_types())")
    assert re.search(r"\bcount: ", types)


def test_the_walks_and_recipes_name_files_that_exist() -> None:
    text = (PROJECT_ROOT / "CONTRIBUTING.md").read_text()
    part = text.partition("## Eight walks")[2].partition("## The rules in a nutshell")[0]
    named = re.findall(r"`([\w/]+\.py)`", part)
    assert len(named) > 20
    missing = [
        path
        for path in (name.replace("db/", "database/") if name.startswith("db/") else name for name in named)
        if not any((PROJECT_ROOT / room / path).exists() for room in ("", "mailchimp_pipeline"))
    ]
    assert missing == []
