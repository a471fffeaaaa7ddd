"""Print the results as lines, or as a JSON document for scripts."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.markup import escape

from mailchimp_pipeline.doctor.checks import findings
from mailchimp_pipeline.doctor.results import Finding, Level
from mailchimp_pipeline.settings import Settings

_MARKS = {Level.WELL: "[green]well[/]   ", Level.WARNING: "[yellow]warning[/]", Level.MISSING: "[red]missing[/]"}


def examine(console: Console, settings: Settings | None = None, *, as_json: bool = False) -> bool:
    """Run all checks, and print their results. Return whether nothing is missing."""
    found: list[Finding] = []
    for finding in findings(settings):
        found.append(finding)
        if not as_json:
            text = escape(f"{finding.about}: {finding.says}")
            console.print(f"{_MARKS[finding.level]} {text}", highlight=False, soft_wrap=True)
    if as_json:
        console.print(_document(found), highlight=False, soft_wrap=True, markup=False)
    return all(finding.is_well for finding in found)


def _document(found: Sequence[Finding]) -> str:
    is_well = all(finding.is_well for finding in found)
    return json.dumps({"is_well": is_well, "findings": [asdict(finding) for finding in found]}, indent=2)
