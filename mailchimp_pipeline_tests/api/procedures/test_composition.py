"""The application that `build_app` creates from settings."""

from pathlib import Path

import pytest
import requests
from sqlalchemy import text

from api.app import build_app
from api.serving import in_thread
from mailchimp_pipeline.database.encryption import KeyringInvalid
from mailchimp_pipeline.database.session import Database, TimeLimits
from mailchimp_pipeline.settings import SettingsError
from mailchimp_pipeline_tests.api.procedures.stage import settings_for
from mailchimp_pipeline_tests.api.served import a_token, logged_lines
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import Sandbox

NOWHERE = "postgresql://nobody@127.0.0.1:9/nothing"
HEADERS = {"authorization": f"Bearer {a_token()}"}
GET = "/api/trpc/mailchimp.connection.get"


def test_the_application_answers_from_its_database(database_url: str, tmp_path: Path, sandbox: Sandbox) -> None:
    with in_thread(build_app(settings_for(database_url, tmp_path, sandbox))) as url:
        assert requests.get(url + GET, headers=HEADERS, timeout=TIMEOUT_SECONDS).json() == {"result": {"data": None}}
        assert requests.get(f"{url}/readyz", timeout=TIMEOUT_SECONDS).status_code == 200
        assert "mailchimp.audit.list" in requests.get(f"{url}/openapi.json", timeout=TIMEOUT_SECONDS).text


def test_a_transaction_that_keeps_a_call_waiting_is_not_waited_for_for_ever(
    database: Database, database_url: str, tmp_path: Path, sandbox: Sandbox
) -> None:
    limits = TimeLimits(statement_seconds=20, lock_seconds=0.1)
    with (
        database.unrestricted() as holder,
        in_thread(build_app(settings_for(database_url, tmp_path, sandbox), time_limits=limits)) as url,
    ):
        holder.execute(text("lock table mailchimp_connections in access exclusive mode"))
        answer = requests.get(url + GET, headers=HEADERS, timeout=10)
    assert answer.json()["error"]["data"]["code"] == "SERVICE_UNAVAILABLE"


def test_a_database_that_is_away_is_service_unavailable(tmp_path: Path, sandbox: Sandbox) -> None:
    with logged_lines() as log, in_thread(build_app(settings_for(NOWHERE, tmp_path, sandbox))) as url:
        answer = requests.get(url + GET, headers=HEADERS, timeout=TIMEOUT_SECONDS)
        assert requests.get(f"{url}/readyz", timeout=TIMEOUT_SECONDS).status_code == 503
    assert answer.json()["error"]["data"]["code"] == "SERVICE_UNAVAILABLE"
    assert ("127.0.0.1:9" in answer.text, "127.0.0.1:9" in log.getvalue()) == (False, True)


def test_a_database_without_tables_is_not_ready(empty_database_url: str, tmp_path: Path, sandbox: Sandbox) -> None:
    with logged_lines() as log, in_thread(build_app(settings_for(empty_database_url, tmp_path, sandbox))) as url:
        assert requests.get(f"{url}/readyz", timeout=TIMEOUT_SECONDS).status_code == 503
        answer = requests.get(url + GET, headers=HEADERS, timeout=TIMEOUT_SECONDS)
    assert answer.json()["error"]["data"]["code"] == "SERVICE_UNAVAILABLE"
    assert "mailchimp-pipeline migrate" in log.getvalue()


def test_a_source_that_is_not_set_is_the_operators_to_set(database_url: str, tmp_path: Path, sandbox: Sandbox) -> None:
    settings = settings_for(database_url, tmp_path, sandbox, MAILCHIMP_PIPELINE_SOURCE="")
    preview = "/api/trpc/mailchimp.segments.preview?input=%7B%22segmentType%22%3A%22mixed%22%7D"
    with in_thread(build_app(settings)) as url:
        error = requests.get(url + preview, headers=HEADERS, timeout=TIMEOUT_SECONDS).json()["error"]
    assert error["data"]["code"] == "PRECONDITION_FAILED"
    assert "MAILCHIMP_PIPELINE_SOURCE" not in error["message"]


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("MAILCHIMP_PIPELINE_TOKEN_SECRET", "", SettingsError),
        ("MAILCHIMP_PIPELINE_ENCRYPTION_KEYS", "1:short", KeyringInvalid),
    ],
)
def test_what_cannot_work_shows_at_the_start(
    tmp_path: Path, sandbox: Sandbox, variable: str, text: str, expected: type[Exception]
) -> None:
    settings = settings_for(NOWHERE, tmp_path, sandbox, **{variable: text})
    with pytest.raises(expected):
        build_app(settings)
