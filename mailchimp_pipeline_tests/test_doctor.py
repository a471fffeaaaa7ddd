"""`mailchimp-pipeline doctor`: each thing is looked at, and what is missing is told with what to do."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mailchimp_pipeline.database.connections import ConnectionStore
from mailchimp_pipeline.doctor import examine, findings
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.database.builders import ACME, AT
from mailchimp_pipeline_tests.runs.company import KEYS, Company, a_company


def missing(settings: Settings) -> Mapping[str, str]:
    return {finding.about: finding.says for finding in findings(settings) if not finding.is_well}


def of(company: Company, **changes: object) -> Settings:
    return company.pipeline.parts.settings.model_copy(update=changes)


def test_everything_is_looked_at(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company:
        found = list(findings(of(company)))
    assert all(finding.is_well for finding in found)
    assert [finding.about for finding in found] == [
        "settings",
        "database",
        "encryption keys",
        "source of employees",
        "source of vendors",
        "Mailchimp for acme",
    ]


def test_what_is_missing_does_not_hide_the_rest(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company:
        (company.files / "vendors.csv").unlink()
        company.sandbox.revoke_key("0123456789abcdef0123456789abcdef-us6")
        found = missing(of(company))
    assert found.keys() == {"source of vendors", "Mailchimp for acme"}
    assert "There is no vendors.csv" in found["source of vendors"]


def test_where_nobody_is_connected_it_says_so(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company:
        with company.pipeline.parts.database.organisation(ACME) as session:
            ConnectionStore(session, company.pipeline.parts.keyring).disconnect(by="alice", at=AT)
        assert "Connect one with its API key" in missing(of(company))["connections"]


def test_a_database_without_tables_is_told_what_to_run(empty_database_url: str) -> None:
    environment = {"MAILCHIMP_PIPELINE_DATABASE_URL": empty_database_url, "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS}
    found = missing(Settings.from_environment(environment))
    assert "mailchimp-pipeline migrate" in found["database"]
    assert "MAILCHIMP_PIPELINE_SOURCE is not set" in found["source of employees"]


def test_a_server_that_is_away_is_told(tmp_path: Path) -> None:
    url = f"postgresql://postgres@/pipeline?host={tmp_path}"
    environment = {"MAILCHIMP_PIPELINE_DATABASE_URL": url, "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS}
    assert "Check that the server runs" in missing(Settings.from_environment(environment))["database"]


def test_settings_that_cannot_be_used_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILCHIMP_PIPELINE_UI_PORT", "many")
    text = StringIO()
    assert not examine(Console(file=text, width=200))
    assert "MAILCHIMP_PIPELINE_UI_PORT" in text.getvalue()
    assert "missing" in text.getvalue()


def test_local_state_is_named_where_no_database_is_set(postgres_home: Path) -> None:
    first = next(findings(Settings.from_environment({"MAILCHIMP_PIPELINE_HOME": str(postgres_home)})))
    assert first.says == f"all can be used; local state in {postgres_home}"
