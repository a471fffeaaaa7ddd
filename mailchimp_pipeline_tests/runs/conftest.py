"""An organisation with its own database and sandbox, and the scenario of `sync`."""

from collections.abc import Generator
from pathlib import Path

import pytest

from mailchimp_pipeline_tests.runs.company import Company, a_company
from mailchimp_pipeline_tests.sync.scenario import scenario, scenario_sandbox

__all__ = ["company", "scenario", "scenario_sandbox"]


@pytest.fixture
def company(database_url: str, tmp_path: Path) -> Generator[Company]:
    with a_company(database_url, tmp_path / "files") as made:
        yield made
