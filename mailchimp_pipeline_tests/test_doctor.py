"""`mailchimp-pipeline doctor` checks each part, and says what to do about missing ones."""

import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo  # pyright: ignore[reportPrivateImportUsage] - of a part of it
from psycopg import sql
from rich.console import Console
from sqlalchemy import make_url, text

from mailchimp_pipeline.cli.doctor import Doubtful, Finding, Level, Missing, examine, findings, heartbeat
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.migrations import migrate
from mailchimp_pipeline.database.session import Database, DatabaseRole
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, a_connection, a_segment, an_account
from mailchimp_pipeline_tests.runs.company import KEYS, Company, a_company

SECRET = "a-token-secret-of-more-than-32-characters"
NEWER_KEYS = "2:" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=," + KEYS


def a_dagster_home(home: Path, *, age: float = 0, errors: bool = False, stopped: str | None = None) -> Path:
    """Return a DAGSTER_HOME with daemon heartbeats of this age in seconds."""
    home.mkdir()
    reported = [SerializableErrorInfo("broken", [], None)] if errors else []
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for daemon in instance.get_required_daemon_types():
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, daemon, "one", reported))
        if stopped:
            repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("mailchimp_pipeline"), "here")
            origin = repository.get_instigator_origin(stopped)
            state = (InstigatorType.SCHEDULE, InstigatorStatus.STOPPED, ScheduleInstigatorData("0 5 * * *"))
            instance.add_instigator_state(InstigatorState(origin, *state))
    return home


def settings_of(database_url: str, **more: str) -> Settings:
    # Not the checkout's home, which has an instance after `make dev`.
    usual = {
        "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS,
        "MAILCHIMP_PIPELINE_TOKEN_SECRET": SECRET,
        "MAILCHIMP_PIPELINE_HOME": "nowhere",
    }
    return Settings.from_environment({"MAILCHIMP_PIPELINE_DATABASE_URL": database_url, **usual, **more})


def at(level: Level, settings: Settings) -> Mapping[str, str]:
    return {finding.about: finding.says for finding in findings(settings) if finding.level is level}


def missing(settings: Settings) -> Mapping[str, str]:
    return at(Level.MISSING, settings)


def of(company: Company, dagster_home: Path) -> Settings:
    environment = company.pipeline.resources.settings.environment()
    return Settings.from_environment(
        environment | {"MAILCHIMP_PIPELINE_TOKEN_SECRET": SECRET, "DAGSTER_HOME": str(dagster_home)}
    )


@contextmanager
def a_login(server: PostgresServer, database_url: str, *, roles: Sequence[str]) -> Generator[str]:
    """Create a login without tables that may assume these roles; yield its database URL."""
    user = f"worker_{next(server.numbers)}"
    server.execute(sql.SQL("create role {} login").format(sql.Identifier(user)))
    for role in roles:
        server.execute(sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(user)))
    yield make_url(database_url).set(username=user).render_as_string(hide_password=False)
    server.execute(sql.SQL("drop role {}").format(sql.Identifier(user)))


def test_everything_is_looked_at(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company:
        found = list(findings(of(company, a_dagster_home(tmp_path / "dagster"))))
    assert [(finding.about, finding.level.value) for finding in found] == [
        ("settings", "well"),
        ("database", "well"),
        ("database role", "warning"),
        ("encryption keys", "well"),
        ("tokens", "well"),
        ("Dagster", "well"),
        ("source of employees", "well"),
        ("source of vendors", "well"),
        ("connections", "well"),
        ("Mailchimp for acme", "well"),
    ]


def test_what_is_missing_does_not_hide_the_rest(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company:
        (company.files / "vendors.csv").unlink()
        company.sandbox.revoke_key("0123456789abcdef0123456789abcdef-us6")
        found = missing(of(company, a_dagster_home(tmp_path / "dagster")))
    assert found.keys() == {"source of vendors", "Mailchimp for acme"}
    assert "There is no vendors.csv" in found["source of vendors"]


def test_doctor_reports_that_no_organisation_is_connected(database_url: str, tmp_path: Path) -> None:
    with a_company(database_url, tmp_path / "files") as company:
        with company.pipeline.resources.database.organisation(ACME) as session:
            ConnectionStore(session, company.pipeline.resources.keyring).disconnect(by="alice", at=AT)
        found = missing(of(company, tmp_path / "dagster"))
    assert "Connect one with its API key" in found["connections"]


def test_a_database_without_tables_is_told_what_to_run(empty_database_url: str) -> None:
    found = missing(settings_of(empty_database_url))
    assert "mailchimp-pipeline migrate" in found["database"]
    assert "MAILCHIMP_PIPELINE_SOURCE is not set" in found["source of employees"]


def test_tables_without_policies_are_named_with_what_to_run(empty_database_url: str) -> None:
    migrate(empty_database_url, "0001")
    found = missing(settings_of(empty_database_url))
    assert "audit_log" in found["database role"]
    assert "mailchimp-pipeline migrate" in found["database role"]


def test_doctor_reports_an_unreachable_server(tmp_path: Path) -> None:
    found = missing(settings_of(f"postgresql://postgres@/pipeline?host={tmp_path}"))
    assert "Check that the server runs" in found["database"]


def test_a_login_that_no_policy_binds_is_a_warning(database_url: str) -> None:
    says = at(Level.WARNING, settings_of(database_url))["database role"]
    assert "is a superuser" in says
    assert "a login of their own that is granted mailchimp_pipeline_app" in says


def test_a_login_that_owns_nothing_is_well(postgres_server: PostgresServer, database_url: str) -> None:
    with a_login(postgres_server, database_url, roles=list(DatabaseRole)) as url:
        says = at(Level.WELL, settings_of(url))["database role"]
    assert "works under the policies" in says


def test_a_login_that_may_not_take_on_the_roles_is_told_what_to_grant(
    postgres_server: PostgresServer, database_url: str
) -> None:
    with a_login(postgres_server, database_url, roles=[]) as url:
        says = missing(settings_of(url))["database role"]
    assert "grant mailchimp_pipeline_app, mailchimp_pipeline_overview to worker_" in says


def test_secrets_whose_key_is_gone_are_counted_and_their_key_is_named(database_url: str, database: Database) -> None:
    a_connection(database, keyring=Keyring.parse(KEYS))
    says = missing(settings_of(database_url, MAILCHIMP_PIPELINE_ENCRYPTION_KEYS=NEWER_KEYS.split(",")[0]))
    assert "1 stored secrets cannot be read: their keys are 1." in says["encryption keys"]


def test_secrets_under_a_former_key_are_a_warning_that_says_how_to_rotate(
    database_url: str, database: Database
) -> None:
    a_connection(database, keyring=Keyring.parse(KEYS))
    says = at(Level.WARNING, settings_of(database_url, MAILCHIMP_PIPELINE_ENCRYPTION_KEYS=NEWER_KEYS))
    assert "mailchimp-pipeline keys rotate" in says["encryption keys"]


def test_doctor_reports_unusable_keys_without_showing_them(database_url: str) -> None:
    says = missing(settings_of(database_url, MAILCHIMP_PIPELINE_ENCRYPTION_KEYS="1:sesame"))["encryption keys"]
    assert "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS" in says
    assert "sesame" not in says


def test_organisations_that_share_an_account_are_a_warning_until_that_is_allowed(
    database_url: str, database: Database
) -> None:
    a_connection(database)
    with database.organisation("globex") as session:
        ConnectionStore(session, KEYRING).connect(an_account(), by="bob", at=AT, may_share=True)
    says = at(Level.WARNING, settings_of(database_url))["connections"]
    assert "acme and globex are connected to the same Mailchimp account" in says
    assert "MAILCHIMP_PIPELINE_SHARED_ACCOUNTS=true" in says
    allowed = settings_of(database_url, MAILCHIMP_PIPELINE_SHARED_ACCOUNTS="true")
    assert at(Level.WELL, allowed)["connections"] == "each audience is fed by one organisation"


def test_organisations_that_feed_the_same_audience_are_a_warning(database_url: str, database: Database) -> None:
    a_connection(database)
    a_segment(database)
    with database.organisation("globex") as session:
        ConnectionStore(session, KEYRING).connect(an_account(), by="bob", at=AT, may_share=True)
    a_segment(database, "globex", list_id="another")
    with database.organisation("globex") as session:  # as before an audience belonged to one organisation
        session.execute(text("update contact_segments set mailchimp_list_id = :id"), {"id": LIST})
    says = at(Level.WARNING, settings_of(database_url, MAILCHIMP_PIPELINE_SHARED_ACCOUNTS="true"))["connections"]
    assert "segments of acme and globex feed the same audience" in says


def test_without_a_way_to_verify_tokens_the_api_cannot_start(database_url: str) -> None:
    says = missing(settings_of(database_url, MAILCHIMP_PIPELINE_TOKEN_SECRET=""))["tokens"]
    assert "MAILCHIMP_PIPELINE_JWKS_URL or MAILCHIMP_PIPELINE_TOKEN_SECRET" in says


def dagster_finding(home: Path) -> Finding:
    try:
        return Finding("Dagster", Level.WELL, heartbeat(Settings.from_environment({"DAGSTER_HOME": str(home)})))
    except (Missing, Doubtful) as error:
        return Finding("Dagster", Level.WARNING if isinstance(error, Doubtful) else Level.MISSING, str(error))


def test_a_daemon_that_is_silent_is_missing(tmp_path: Path) -> None:
    found = dagster_finding(a_dagster_home(tmp_path / "dagster", age=600))
    assert (found.level, "Start `dagster-daemon run`" in found.says) == (Level.MISSING, True)
    assert "SCHEDULER" in found.says


def test_a_stopped_schedule_is_a_warning(tmp_path: Path) -> None:
    found = dagster_finding(a_dagster_home(tmp_path / "dagster", stopped="mailchimp_scheduled_sync"))
    assert (found.level, "mailchimp_scheduled_sync are switched off" in found.says) == (Level.WARNING, True)


def test_a_daemon_that_reports_errors_is_a_warning_that_does_not_quote_them(tmp_path: Path) -> None:
    found = dagster_finding(a_dagster_home(tmp_path / "dagster", errors=True))
    assert (found.level, "broken" in found.says) == (Level.WARNING, False)


def test_a_home_of_dagsters_that_is_not_there_is_told_which_variable_to_set(tmp_path: Path) -> None:
    assert "Set DAGSTER_HOME" in dagster_finding(tmp_path / "nowhere").says


def test_a_storage_of_dagsters_that_cannot_be_read_is_told_by_its_kind(tmp_path: Path) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text("storage: {custom: {module: nowhere, class: Sesame, config: {}}}")
    found = dagster_finding(home)
    assert "its storage cannot be read" in found.says
    assert "Sesame" not in found.says


def test_doctor_reports_invalid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILCHIMP_PIPELINE_UI_PORT", "many")
    text = StringIO()
    assert not examine(Console(file=text, width=200))
    assert "MAILCHIMP_PIPELINE_UI_PORT" in text.getvalue()
    assert "missing" in text.getvalue()


def test_for_scripts_it_is_one_document(tmp_path: Path) -> None:
    text = StringIO()
    url = f"postgresql://postgres@/pipeline?host={tmp_path}"
    assert not examine(Console(file=text, width=40), settings_of(url), as_json=True)
    document = json.loads(text.getvalue())
    assert document["is_well"] is False
    assert document["findings"][0] == {"about": "settings", "level": "well", "says": "all can be used"}


def test_local_state_is_named_where_no_database_is_set(postgres_home: Path) -> None:
    first = next(findings(Settings.from_environment({"MAILCHIMP_PIPELINE_HOME": str(postgres_home)})))
    assert first.says == f"all can be used; local state in {postgres_home}"
