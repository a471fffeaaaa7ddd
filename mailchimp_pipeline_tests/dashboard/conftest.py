"""One browser, API, sandbox and database for all tests of the dashboard. Each test has its own organisation.

The fixtures belong to the package, not to the session: Playwright's event loop runs in the main thread until it is
stopped, and tests of other packages start their own.
"""

import shutil
from collections.abc import Generator
from contextlib import ExitStack
from typing import Protocol

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from api.trpc import Role
from mailchimp_pipeline_tests.api.node_tools import skip_without
from mailchimp_pipeline_tests.api.procedures.stage import Stage, Tenant, a_stage, a_tenant
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.dashboard.visitor import Visitor, a_visitor
from mailchimp_pipeline_tests.waiting import TIMEOUT_SECONDS
from sandbox import Sandbox


class Visits(Protocol):
    """Opens a window for an organisation, signed in with a role. It is closed at the end of the test."""

    def __call__(self, tenant: Tenant, *, role: Role | None = Role.ADMIN, scripts: bool = True) -> Visitor: ...


@pytest.fixture(scope="package")
def browser() -> Generator[Browser]:
    skip_without("chromium", why="install Debian's package chromium to test the dashboard in a browser")
    expect.set_options(timeout=TIMEOUT_SECONDS * 1000)
    with sync_playwright() as playwright:
        # Containers do not allow Chromium's sandbox. The pages are ours.
        launched = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def stage(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    name = postgres_server.create("migrated")
    with (
        Sandbox.running() as sandbox,
        a_stage(postgres_server.url_of(name), tmp_path_factory.mktemp("hr"), sandbox) as served,
    ):
        yield served
    postgres_server.drop(name)


@pytest.fixture
def visit(browser: Browser) -> Generator[Visits]:
    """Return a function that opens a window."""
    with ExitStack() as windows:

        def opened(tenant: Tenant, *, role: Role | None = Role.ADMIN, scripts: bool = True) -> Visitor:
            return windows.enter_context(a_visitor(browser, tenant, role=role, scripts=scripts))

        yield opened


@pytest.fixture
def tenant(stage: Stage) -> Tenant:
    """Return an organisation without a connection."""
    return a_tenant(stage)


@pytest.fixture
def connected(stage: Stage) -> Tenant:
    """Return a connected organisation."""
    return a_tenant(stage, connected=True)
