"""One sandbox for all tests of the client. It is reset before each test."""

from collections.abc import Generator

import pytest

from mailchimp_pipeline_tests.mailchimp.builders import a_client
from mailchimp_pipeline_tests.mailchimp.stages import HourClock, SandboxStage
from sandbox import Sandbox


@pytest.fixture(scope="session")
def timed_sandbox() -> Generator[tuple[Sandbox, HourClock]]:
    """Run a sandbox with a clock that tests advance."""
    hours = HourClock()
    with Sandbox.running(clock=hours) as sandbox:
        yield sandbox, hours


@pytest.fixture
def sandbox_stage(timed_sandbox: tuple[Sandbox, HourClock]) -> Generator[SandboxStage]:
    """Return the sandbox with a client without retries."""
    sandbox, hours = timed_sandbox
    with a_client(sandbox.api_root) as client:
        yield SandboxStage(sandbox, client, hours)
