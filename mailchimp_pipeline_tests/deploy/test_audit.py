"""The audit of dependencies fails for known vulnerabilities, and warns if it gets no data."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailchimp_pipeline.settings import PROJECT_ROOT

SOUND: dict[str, Any] = {"name": "sound", "version": "1", "vulns": []}
UNKNOWN = {"name": "unknown", "version": "1", "skip_reason": "Dependency not found"}
WEAK = {"name": "weak", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}


def judged(report: Path) -> tuple[int, str]:
    command = [sys.executable, ".ci/audit.py", str(report)]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def reported(path: Path, *dependencies: dict[str, Any]) -> tuple[int, str]:
    path.write_text(json.dumps({"dependencies": dependencies, "fixes": []}), encoding="utf-8")
    return judged(path)


def test_sound_dependencies_pass(tmp_path: Path) -> None:
    assert reported(tmp_path / "report", SOUND) == (0, "1 dependencies, none with a known vulnerability.\n")


def test_a_vulnerability_fails_also_where_others_are_unknown(tmp_path: Path) -> None:
    code, said = reported(tmp_path / "report", SOUND, WEAK, UNKNOWN)

    assert code == 1
    assert "weak 1: PYSEC-1, fixed in 2" in said


def test_data_that_cannot_be_had_is_said_loudly_and_does_not_fail(tmp_path: Path) -> None:
    code, said = reported(tmp_path / "report", SOUND, UNKNOWN)

    assert code == 0
    assert "DEPENDENCIES NOT AUDITED: 1 of 2 dependencies are unknown" in said


@pytest.mark.parametrize("text", ["", "<html>", "[]", '{"dependencies": null}'])
def test_a_report_that_is_none_is_no_verdict(tmp_path: Path, text: str) -> None:
    (tmp_path / "report").write_text(text)

    code, said = judged(tmp_path / "report")

    assert (code, "NOT AUDITED" in said) == (0, True)


def test_every_change_is_audited() -> None:
    makefile = (PROJECT_ROOT / "Makefile").read_text(encoding="utf-8")

    assert "\ncheck: lint types imports location audit coverage" in makefile
    assert "make check" in (PROJECT_ROOT / ".ci" / "run").read_text(encoding="utf-8")
