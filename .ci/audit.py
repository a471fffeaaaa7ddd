"""Judges what pip-audit found: a known vulnerability fails, data that could not be had is said loudly and does not.

Takes the file of pip-audit's JSON report, and what kept it from writing one where there is none.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LOUD = "!" * 100


def main(arguments: Sequence[str]) -> int:
    """Return the exit code."""
    report = Path(arguments[0])
    try:
        dependencies: list[dict[str, Any]] = list(json.loads(report.read_text(encoding="utf-8"))["dependencies"])
    except (OSError, ValueError, KeyError, TypeError):
        return _not_audited("pip-audit wrote no report")
    vulnerable = [one for one in dependencies if one.get("vulns")]
    unknown = [one for one in dependencies if "skip_reason" in one]
    for one in vulnerable:
        sys.stdout.write(_line(one))
    if vulnerable:
        sys.stdout.write(f"{len(vulnerable)} of {len(dependencies)} dependencies are vulnerable: `make lock`.\n")
        return 1
    if not dependencies or unknown:
        return _not_audited(f"{len(unknown)} of {len(dependencies)} dependencies are unknown to its data")
    sys.stdout.write(f"{len(dependencies)} dependencies, none with a known vulnerability.\n")
    return 0


def _line(dependency: Mapping[str, Any]) -> str:
    lines = [
        f"{dependency['name']} {dependency['version']}: {found['id']}, fixed in "
        f"{', '.join(found.get('fix_versions') or ()) or 'no version yet'}\n"
        for found in dependency["vulns"]
    ]
    return "".join(lines)


def _not_audited(why: str) -> int:
    sys.stdout.write(
        f"{_LOUD}\nDEPENDENCIES NOT AUDITED: {why}.\n"
        f"Known vulnerabilities were not looked up: run `make audit` where the package index can be reached.\n{_LOUD}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
