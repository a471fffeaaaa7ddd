"""One sandbox for all tests, with an account and an audience. It is reset before each test."""

from collections.abc import Iterator

import pytest

from mailchimp_pipeline_tests.sandbox.calls import KEY, START, AudienceApi, SetClock
from sandbox import Sandbox


@pytest.fixture(scope="session")
def clock() -> SetClock:
    """Return the clock of the sandbox."""
    return SetClock()


@pytest.fixture(scope="session")
def running_sandbox(clock: SetClock) -> Iterator[Sandbox]:
    """Run the sandbox."""
    with Sandbox.running(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox, clock: SetClock) -> Sandbox:
    """Return an empty sandbox."""
    clock.moment = START
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def account_id(sandbox: Sandbox) -> str:
    """Return the account of `KEY`."""
    return sandbox.add_account(KEY)


@pytest.fixture
def list_id(sandbox: Sandbox, account_id: str) -> str:
    """Return an empty audience of the account."""
    return sandbox.add_audience(account_id)


@pytest.fixture
def api(sandbox: Sandbox, list_id: str) -> Iterator[AudienceApi]:
    """Return an HTTP client of the audience."""
    with AudienceApi(sandbox.api_root, list_id) as api:
        yield api
