"""The option of the random histories, and a world for short ones."""

from collections.abc import Generator

import pytest

from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sandbox import Sandbox
from mailchimp_pipeline.segments import OnLeave, SegmentType
from mailchimp_pipeline_tests.consent.happenings import Clock
from mailchimp_pipeline_tests.consent.world import NEWS, World


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let many histories be asked for, where these tests are named on the command line."""
    parser.addoption("--histories", type=int, help="play so many new histories of consent, instead of a few old ones")


@pytest.fixture
def world(database: Database) -> Generator[World]:
    """Return a world with one organisation in it; its segment `first` is of the audience `NEWS`."""
    clock = Clock()
    with Sandbox.running(clock=clock) as sandbox:
        made = World(database, sandbox, clock, "acme")
        made.add_segment("first", NewSegment("first", SegmentType.MIXED, NEWS, on_leave=OnLeave.ARCHIVE))
        yield made
