"""One sandbox for all tests of the client; each test begins with an empty one."""

from collections.abc import Generator

import pytest

from mailchimp_pipeline_tests.mailchimp.builders import a_client
from mailchimp_pipeline_tests.mailchimp.stages import Hours, SandboxStage
from sandbox import Sandbox


@pytest.fixture(scope="session")
def timed_sandbox() -> Generator[tuple[Sandbox, Hours]]:
    """Run a sandbox by a clock that tests put on."""
    hours = Hours()
    with Sandbox.running(clock=hours) as sandbox:
        yield sandbox, hours


@pytest.fixture
def sandbox_stage(timed_sandbox: tuple[Sandbox, Hours]) -> Generator[SandboxStage]:
    """Set the stage, with a client that does not retry."""
    sandbox, hours = timed_sandbox
    with a_client(sandbox.api_root) as client:
        yield SandboxStage(sandbox, client, hours)
