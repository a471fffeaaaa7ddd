"""The option of the random histories, a world for short ones, and an office where contacts are erased."""

from collections.abc import Generator

import pytest

from mailchimp_pipeline.database.segments import NewSegment
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.sandbox import Sandbox
from mailchimp_pipeline.segments import OnLeave, SegmentType
from mailchimp_pipeline_tests.api.procedures.stage import Stage
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.consent.erasing import Office, a_stage_for_erasing, an_office
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


@pytest.fixture(scope="module")
def stage(postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Generator[Stage]:
    """Return what serves the offices of a module: the API, the sandbox, and HR's files."""
    with a_stage_for_erasing(postgres_server, tmp_path_factory.mktemp("hr")) as served:
        yield served


@pytest.fixture
def office(stage: Stage) -> Generator[Office]:
    """Return an organisation of its own, and leave Mailchimp to the next one as it was."""
    office = an_office(stage)
    yield office
    stage.sandbox.clear_faults()
    stage.sandbox.configure(latency_ms=0)
