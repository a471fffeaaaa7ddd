"""One sandbox for all tests of refreshes. It is reset before each test, and each test has its own database."""

from collections.abc import Generator

import pytest

from mailchimp_pipeline_tests.campaigns.stage import Stage, a_stage
from mailchimp_pipeline_tests.mailchimp.stages import HourClock
from sandbox import Sandbox


@pytest.fixture(scope="session")
def hours() -> HourClock:
    return HourClock()


@pytest.fixture(scope="session")
def sandbox(hours: HourClock) -> Generator[Sandbox]:
    with Sandbox.running(clock=hours) as running:
        yield running


@pytest.fixture
def stage(database_url: str, sandbox: Sandbox, hours: HourClock) -> Generator[Stage]:
    with a_stage(database_url, sandbox, hours) as stage:
        yield stage
