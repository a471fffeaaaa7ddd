"""Resources from the settings: missing ones are created, given ones are used, impossible ones are errors."""

import sys
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.locks import DatabaseConnectionSlots
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.services.pipeline import open_pipeline
from mailchimp_pipeline.services.resources import NoSource, NotConnected, Resources, complete_settings, open_resources
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.database.builders import ACME, a_connection
from mailchimp_pipeline_tests.runs.company import KEYS


def settings(database_url: str) -> Settings:
    environment = {"MAILCHIMP_PIPELINE_DATABASE_URL": database_url, "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS": KEYS}
    return Settings.from_environment(environment)


def test_where_no_database_is_set_an_embedded_one_is_started_for_both(postgres_home: Path) -> None:
    with complete_settings(Settings.from_environment({"MAILCHIMP_PIPELINE_HOME": str(postgres_home)})) as complete:
        assert complete.database_url
        assert complete.dagster_postgres_url
        assert complete.database_url.get_secret_value().startswith("postgresql+psycopg://")
        assert complete.dagster_postgres_url.get_secret_value().startswith("postgresql+psycopg2://")
        assert complete.encryption_keys


def test_a_storage_of_dagsters_that_is_set_stays(postgres_home: Path) -> None:
    own = {"DAGSTER_POSTGRES_URL": "postgresql+psycopg2://db.example.com/dagster"}
    given = Settings.from_environment({"MAILCHIMP_PIPELINE_HOME": str(postgres_home), **own})
    with complete_settings(given) as complete:
        assert complete.environment().items() >= own.items()


def test_a_database_that_is_set_is_used_as_it_is(empty_database_url: str) -> None:
    given = settings(empty_database_url)
    with complete_settings(given) as complete:
        assert complete == given


def test_settings_that_are_not_complete_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="complete_settings"):
        Resources(Settings(), Database("postgresql+psycopg://nowhere")).database_url  # noqa: B018 - to look is what raises


def test_a_missing_source_is_an_error(database_url: str) -> None:
    with open_pipeline(settings(database_url)) as pipeline, pytest.raises(NoSource, match="MAILCHIMP_PIPELINE_SOURCE"):
        pipeline.describe("employee")


def test_an_organisation_that_is_not_connected_has_no_mailchimp(database_url: str) -> None:
    with open_resources(settings(database_url)) as parts, pytest.raises(NotConnected, match="Organisation acme"):
        parts.audiences(ACME)


@pytest.fixture
def hurried_threads() -> Generator[None]:
    """Switch threads as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hurried_threads")
def test_threads_that_ask_at_once_share_the_connections_of_an_account(database_url: str) -> None:
    everybody = Barrier(4)

    def ask(account_id: str) -> DatabaseConnectionSlots:
        everybody.wait(60)
        return parts.slots(account_id)

    with open_resources(settings(database_url)) as parts, ThreadPoolExecutor(4) as pool:
        for number in range(300):
            assert len(set(pool.map(ask, [f"account-{number}"] * 4))) == 1


def test_all_who_ask_share_one_client_and_its_connections(database_url: str, database: Database) -> None:
    a_connection(database, keyring=Keyring.parse(KEYS))
    with open_resources(settings(database_url)) as parts:
        assert parts.audiences(ACME) is parts.audiences(ACME)
        assert parts.slots("account-1") is parts.slots("account-1")
