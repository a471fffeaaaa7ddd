"""One API, sandbox and database for all tests of the procedures and the dashboard. Each has its own organisation."""

from collections.abc import Generator

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_stage, a_tenant
from mailchimp_pipeline_tests.conftest import PostgresServer
from sandbox import Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Generator[Sandbox]:
    with Sandbox.running() as running:
        yield running


@pytest.fixture(scope="session")
def stage(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory, sandbox: Sandbox
) -> Generator[Stage]:
    name = postgres_server.create("migrated")
    with a_stage(postgres_server.url_of(name), tmp_path_factory.mktemp("hr"), sandbox) as served:
        yield served
    postgres_server.drop(name)


@pytest.fixture
def tenant(stage: Stage) -> Tenant:
    """Return an organisation without a connection."""
    return a_tenant(stage)


@pytest.fixture
def connected(stage: Stage) -> Tenant:
    """Return a connected organisation."""
    return a_tenant(stage, connected=True)
