"""The commands: each works, or prints one error text and returns its exit code."""

import re
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from api.auth import SIGN_IN_AUDIENCE, SharedSecret, Unauthenticated, verified_claims
from mailchimp_pipeline.cli.commands import (
    _print_errors,  # pyright: ignore[reportPrivateUsage] - what all commands share
    app,
)
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.local.sample_organisations import ORGANISATIONS
from mailchimp_pipeline.local.stack import free_port, installed
from mailchimp_pipeline.mailchimp import MailchimpClient, ThreadSlots
from mailchimp_pipeline.services.resources import complete_settings
from mailchimp_pipeline_tests.api.served import SECRET
from mailchimp_pipeline_tests.database.builders import ACME, API_KEY, a_connection
from mailchimp_pipeline_tests.runs.company import KEYS
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import SandboxControl

OTHER_KEYS = "2:" + "MTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTE="


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Set a home directory and keys for the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAILCHIMP_PIPELINE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MAILCHIMP_PIPELINE_ENCRYPTION_KEYS", KEYS)
    return monkeypatch


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_without_a_command_there_is_help() -> None:
    shown = call("--help").output
    names = ("actor", "api", "demo", "dev", "doctor", "keys", "migrate", "sandbox", "sign-in", "sync", "token")
    assert [name for name in names if f" {name} " not in shown] == []


def test_migrate_brings_an_empty_database_to_this_version(
    empty_database_url: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", empty_database_url)
    first, second = call("migrate"), call("migrate")
    assert (first.exit_code, first.output) == (0, second.output)
    assert "The database is at revision" in first.output


def test_a_foreseen_failure_is_one_text_and_exit_code_1(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", "mysql://root@localhost/hr")
    result = call("migrate")
    assert result.exit_code == 1
    assert result.stderr.startswith("SettingsError: The settings cannot be used:")
    assert "Traceback" not in result.output


def test_brackets_in_a_failure_are_no_markup(environment: pytest.MonkeyPatch, empty_database_url: str) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", empty_database_url)
    result = call("sync", "--organisation", "[red]acme[/]")
    assert result.exit_code == 1
    assert "mailchimp-pipeline migrate" in result.stderr


def test_a_sync_without_segments_says_so(environment: pytest.MonkeyPatch, database_url: str) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", database_url)
    result = call("sync", "--organisation", "[acme]")
    assert (result.exit_code, result.stderr.strip()) == (
        1,
        "NothingToSync: Organisation [acme] is not connected to Mailchimp. Connect it first.",
    )


def test_doctor_ends_with_1_where_something_is_missing(environment: pytest.MonkeyPatch, database_url: str) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", database_url)
    result = call("doctor")
    assert result.exit_code == 1
    assert "well    database: reachable" in result.stdout
    assert "missing connections: no organisation is connected" in result.stdout


def test_keys_are_rotated_to_the_first(environment: pytest.MonkeyPatch, database_url: str, database: Database) -> None:
    a_connection(database, keyring=Keyring.parse(KEYS))
    environment.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", database_url)
    environment.setenv("MAILCHIMP_PIPELINE_ENCRYPTION_KEYS", f"{OTHER_KEYS},{KEYS}")
    result = call("keys", "rotate")
    assert (result.exit_code, result.stdout[:9]) == (0, "1 secrets")
    with database.organisation(ACME) as session:
        assert ConnectionStore(session, Keyring.parse(OTHER_KEYS)).api_key() == API_KEY


def test_erasures_that_wait_are_listed_and_an_unknown_one_cannot_be_confirmed(
    environment: pytest.MonkeyPatch, database_url: str
) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_DATABASE_URL", database_url)
    listed, confirmed = call("erasures", "list"), call("erasures", "confirm", "nonsense")
    assert (listed.exit_code, confirmed.exit_code) == (0, 1)
    assert "Erasures that Mailchimp has not confirmed" in listed.stdout
    assert "nonsense" in confirmed.stderr


def test_ctrl_c_ends_a_command_without_a_stack() -> None:
    @_print_errors
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit) as ended:
        interrupted()
    assert ended.value.exit_code == 130


def test_a_token_is_printed_alone() -> None:
    result = call("token", "--organisation", "acme", "--actor", "alice", "--role", "admin")
    assert (result.exit_code, result.stdout.count("."), result.stdout.count("\n")) == (0, 2, 1)


def test_the_names_of_a_caller_are_printed_one_for_each_key(environment: pytest.MonkeyPatch) -> None:
    (before,) = call("actor", "ann@acme.test", "--organisation", "acme").stdout.splitlines()
    environment.setenv("MAILCHIMP_PIPELINE_ENCRYPTION_KEYS", f"{OTHER_KEYS},{KEYS}")
    current, former = call("actor", "ann@acme.test", "--organisation", "acme").stdout.splitlines()
    assert (before, current[:5]) == (former, "user-")
    assert current != former
    assert call("actor", "auth0|507f1f77", "--organisation", "acme").stdout == "auth0|507f1f77\n"


@pytest.mark.parametrize("command", ["token", "sign-in"])
def test_where_tokens_come_from_elsewhere_none_is_made(environment: pytest.MonkeyPatch, command: str) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_JWKS_URL", "https://login.example.com/keys")
    result = call(command, "--organisation", "acme", "--actor", "alice")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "MAILCHIMP_PIPELINE_JWKS_URL" in result.stderr


def test_a_sign_in_link_is_printed_alone_and_is_good_for_the_dashboard_only(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_TOKEN_SECRET", SECRET)
    result = call("sign-in", "--organisation", "acme", "--actor", "alice", "--role", "editor", "--minutes", "5")
    assert (result.exit_code, result.stdout.count("\n")) == (0, 1)
    url, _, token = result.stdout.strip().partition("?token=")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/sign-in", url)
    now = datetime.now(UTC)
    claims = verified_claims(token, SharedSecret(SECRET), now, audience=SIGN_IN_AUDIENCE)
    assert (claims.org, claims.sub, claims.role) == ("acme", "alice", "editor")
    assert 200 < claims.exp - now.timestamp() <= 300
    with pytest.raises(Unauthenticated):
        verified_claims(token, SharedSecret(SECRET), now)


def test_a_sign_in_link_leads_to_where_the_api_is_reached_from_outside(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_PUBLIC_URL", "https://pipeline.acme.test")
    link = call("sign-in", "--organisation", "acme", "--actor", "alice").stdout
    assert link.startswith("https://pipeline.acme.test/sign-in?token=")


@pytest.mark.parametrize("wrong", [("--minutes", "0"), ("--minutes", "50000"), ("--role", "owner"), ("--actor", "\n")])
def test_no_sign_in_link_is_made_that_would_be_refused(wrong: tuple[str, str]) -> None:
    result = call("sign-in", "--organisation", "acme", "--actor", "alice", *wrong)
    assert result.exit_code != 0
    assert "token=" not in result.output


@contextmanager
def a_sandbox(*arguments: str) -> Generator[str]:
    """Run the `sandbox` command and yield its API root."""
    command = [installed("mailchimp-pipeline"), "sandbox", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip().removeprefix("MAILCHIMP_API_ROOT=")
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_SECONDS) in {0, 130}


def test_the_sandbox_says_where_it_is_and_ends_with_ctrl_c() -> None:
    with (
        a_sandbox("--port", "0", "--latency-ms", "1") as root,
        SandboxControl(root.removesuffix("/3.0")) as sandbox,
    ):
        assert sandbox.counts().total.calls == 0


def test_the_sandbox_of_the_sample_organisations_is_found_by_later_commands(
    environment: pytest.MonkeyPatch, postgres_home: Path
) -> None:
    environment.setenv("MAILCHIMP_PIPELINE_HOME", str(postgres_home))
    environment.delenv("MAILCHIMP_PIPELINE_ENCRYPTION_KEYS")
    with a_sandbox("--sample", "--port", str(free_port())) as root:
        with complete_settings() as settings:
            assert (settings.api_root, settings.source is not None) == (root, True)
        key = ApiKey.parse(ORGANISATIONS[0].api_key)
        with MailchimpClient(key, root=root, slots=ThreadSlots(1)) as client:
            assert client.account().account_name == "Acme Corp"
    (postgres_home / "sandbox.json").unlink()


def test_each_command_loads_only_what_it_needs() -> None:
    heavy = ("dagster", "pandas", "sqlalchemy")
    code = f"import sys, mailchimp_pipeline.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
