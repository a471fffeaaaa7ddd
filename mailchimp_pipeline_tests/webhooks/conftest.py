"""One API that the sandbox can call, for all tests of webhooks; each test has an organisation of its own."""

from collections.abc import Generator
from itertools import count

import pytest

from mailchimp_pipeline.sandbox import Sandbox
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.waiting import PATIENCE_SECONDS
from mailchimp_pipeline_tests.webhooks.stage import Hook, a_hook, a_public_stage

_numbers = count(1)


@pytest.fixture(scope="session")
def sandbox() -> Generator[Sandbox]:
    with Sandbox.running() as running:
        running.configure(webhook_retry_seconds=(0.05, 0.1, 0.5, 1, 2), webhook_timeout_seconds=PATIENCE_SECONDS)
        yield running


@pytest.fixture(scope="session")
def stage(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Generator[Stage]:
    name = postgres_server.create("migrated")
    with a_public_stage(postgres_server.url_of(name), tmp_path_factory.mktemp("hr"), sandbox) as served:
        yield served
    postgres_server.drop(name)


@pytest.fixture
def organisation_id() -> str:
    """Return an organisation that no other test knows."""
    return f"called-{next(_numbers)}"


@pytest.fixture
def hook(stage: Stage, organisation_id: str) -> Hook:
    """Return a webhook whose calls are signed."""
    return a_hook(stage, organisation_id)


@pytest.fixture
def tenant(stage: Stage) -> Tenant:
    """Return an organisation that is connected and has a segment."""
    tenant = a_tenant(stage, connected=True)
    assert tenant.create().status == 200
    return tenant
