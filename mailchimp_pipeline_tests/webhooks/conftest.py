"""One API that the sandbox can call, for all tests of webhooks. Each test has its own organisation."""

from collections.abc import Callable, Generator

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_tenant
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from mailchimp_pipeline_tests.webhooks.stage import Hook, a_hook, a_stage_with_url
from sandbox import Fault, Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Generator[Sandbox]:
    with Sandbox.running() as running:
        running.configure(webhook_retry_seconds=(0.05, 0.1, 0.5, 1, 2), webhook_timeout_seconds=TIMEOUT_SECONDS)
        yield running


@pytest.fixture(scope="session")
def stage(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Generator[Stage]:
    name = postgres_server.create("migrated")
    with a_stage_with_url(postgres_server.url_of(name), tmp_path_factory.mktemp("hr"), sandbox) as served:
        yield served
    postgres_server.drop(name)


@pytest.fixture
def hook(stage: Stage) -> Hook:
    """Return a webhook with signed calls."""
    return a_hook(stage)


@pytest.fixture
def faults(sandbox: Sandbox) -> Generator[Callable[[Fault], None]]:
    """Return a function that plans a fault until the end of the test."""
    yield sandbox.add_fault
    sandbox.clear_faults()


@pytest.fixture
def tenant(stage: Stage) -> Tenant:
    """Return a connected organisation with a segment."""
    tenant = a_tenant(stage, connected=True)
    assert tenant.create().status == 200
    return tenant
