"""The options of the random histories, scenarios of consent, and an office where contacts are erased."""

from collections.abc import Callable, Generator
from datetime import timedelta

import pytest

from mailchimp_pipeline_tests.api.procedures.stage import Stage
from mailchimp_pipeline_tests.conftest import PostgresServer
from mailchimp_pipeline_tests.consent.erasing import Office, a_stage_for_erasing, an_office
from mailchimp_pipeline_tests.consent.harness import Harness
from mailchimp_pipeline_tests.consent.scenario import ConsentScenario

AScenario = Callable[..., ConsentScenario]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let histories be asked for, where these tests are named on the command line."""
    group = parser.getgroup("histories", "random histories of consent")
    group.addoption("--histories", type=int, help="play so many random histories of consent")
    group.addoption("--survey", action="store_true", help="count what is wrong in all of them, instead of stopping")
    group.addoption("--looking-for", help="a regular expression for what is wrong; anything else does not count")


@pytest.fixture(scope="session")
def harness(postgres_server: PostgresServer) -> Generator[Harness]:
    """Return the parts that all scenarios share."""
    name = postgres_server.create("migrated")
    with pytest.MonkeyPatch.context() as patch, Harness.running(postgres_server.url_of(name)) as running:
        # An erasure during a sync waits for it in vain: the sync goes on when the erasure has ended.
        patch.setattr("mailchimp_pipeline.database.erasure_store._AUDIENCE_WAIT_SECONDS", 0.1)
        yield running
    postgres_server.drop(name)


@pytest.fixture
def a_scenario(harness: Harness) -> Generator[AScenario]:
    """Return what begins a scenario with clocks that are ahead of the true time."""

    def begin(*, ours_ahead: timedelta = timedelta(), mailchimp_ahead: timedelta = timedelta()) -> ConsentScenario:
        return harness.begin(ours_ahead=ours_ahead, mailchimp_ahead=mailchimp_ahead)

    yield begin
    harness.end()


@pytest.fixture
def scenario(a_scenario: AScenario) -> ConsentScenario:
    """Return a scenario whose clocks agree."""
    return a_scenario()


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
