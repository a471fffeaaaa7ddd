"""`mailchimp-pipeline sync` requests a sync, waits for Dagster and prints the result."""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from threading import Event

import pytest
from rich.console import Console

from mailchimp_pipeline.cli.sync import NothingToSync, preview_and_print, request_and_wait
from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.sync_request_store import SyncRequest, SyncRequestStore
from mailchimp_pipeline_tests.database.builders import ACME, AT, a_segment
from mailchimp_pipeline_tests.runs.company import Company, a_company


@pytest.fixture
def company(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Company]:
    with a_company(database_url, tmp_path / "files") as made:
        variables: Mapping[str, str] = made.pipeline.resources.settings.environment()
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield made


def waiting_requests(company: Company) -> Sequence[SyncRequest]:
    return [request for request in company.pipeline.open_requests() if request.run_id is None]


@pytest.fixture
def dagster(company: Company) -> Generator[None]:
    """Serve sync requests as Dagster does, until the end of the test."""
    over = Event()

    def serve() -> None:
        while not over.wait(0.05):
            waiting = waiting_requests(company)
            keys, request_ids = [each.partition_key for each in waiting], [each.id for each in waiting]
            if waiting:
                list(company.pipeline.sync(keys, run_id="run", push=True, request_ids=request_ids))

    with ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        yield
        over.set()
    serving.result()


def ask(segment_id: str | None = None, *, organisation_id: str = ACME, wait: int = 60) -> tuple[bool, str]:
    text = StringIO()
    console = Console(file=text, width=200)
    return request_and_wait(organisation_id, segment_id, wait_seconds=wait, console=console), text.getvalue()


@pytest.mark.usefixtures("dagster")
def test_a_successful_sync_is_printed_with_its_figures(company: Company) -> None:
    is_well, shown = ask(company.segment.id)
    assert is_well
    assert "acme: Everybody" in shown
    assert "synced" in shown


@pytest.mark.usefixtures("dagster")
def test_a_failed_sync_is_printed_with_its_reason(company: Company) -> None:
    (company.files / "employees.csv").unlink()
    is_well, shown = ask()
    assert not is_well
    assert "There is no employees.csv" in shown
    assert str(company.files) in shown.replace("\n", "")


def figures(shown: str) -> list[str]:
    """Return the figures in the segment's row."""
    (row,) = [line for line in shown.splitlines() if "acme: Everybody" in line]
    return [word for word in row.split() if word.isdigit()]


@pytest.mark.usefixtures("dagster")
def test_a_sync_that_fails_shows_no_figures_of_the_sync_before(company: Company) -> None:
    assert figures(ask()[1])
    (company.files / "employees.csv").unlink()
    _, shown = ask()
    assert (figures(shown), "error" in shown) == ([], True)


@pytest.mark.usefixtures("dagster")
def test_each_segment_is_named_as_it_ends_and_all_are_asked_for_at_once(company: Company) -> None:
    a_segment(company.pipeline.resources.database, name="More")
    a_segment(company.pipeline.resources.database, name="[Gone]", list_id="0123456789")
    is_well, shown = ask()
    assert not is_well
    assert set(shown.splitlines()[:3]) == {"Everybody: synced", "More: synced", "[Gone]: not synced"}


def asked_while(company: Company, happens: Callable[[OrganisationSession], object]) -> tuple[bool, str]:
    """Request a sync, and call a function while the command waits."""

    def meanwhile() -> None:
        while not waiting_requests(company):
            time.sleep(0.05)
        with company.pipeline.resources.database.organisation(ACME) as session:
            happens(session)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(meanwhile)
        return ask(company.segment.id)


def test_a_segment_deleted_during_a_sync_is_reported_as_failed(company: Company) -> None:
    segment_id = company.segment.id
    outcome = asked_while(company, lambda session: SegmentStore(session).delete(segment_id, by="alice", at=AT))
    assert outcome == (False, f"Everybody: not synced\nSegment {segment_id} was deleted meanwhile.\n")


def test_a_request_that_ends_without_a_run_is_printed_with_its_reason(company: Company) -> None:
    is_well, shown = asked_while(
        company, lambda session: SyncRequestStore(session).end_waiting("Disconnected.", by="alice", at=AT)
    )
    assert not is_well
    assert "Everybody: Disconnected." in shown


def test_a_sync_without_a_daemon_is_reported_after_the_timeout(company: Company) -> None:
    company.sync()
    is_well, shown = ask(wait=0)
    assert not is_well
    assert (figures(shown), "synced" in shown, "pending" in shown) == ([], False, True)
    assert "as long as Dagster's daemon runs" in shown
    assert [request.partition_key for request in waiting_requests(company)] == [company.segment.partition_key]


def planned(segment_id: str | None = None, *, organisation_id: str = ACME) -> str:
    text = StringIO()
    preview_and_print(organisation_id, segment_id, console=Console(file=text, width=200))
    return " ".join(text.getvalue().split())


def test_a_dry_run_prints_what_a_sync_would_do_and_does_nothing(company: Company) -> None:
    calls = company.sandbox.counts()
    assert "add 3 employee" in planned(company.segment.id)
    assert "The audience was never read, so everybody is new." in planned()
    assert (company.sandbox.counts(), waiting_requests(company)) == (calls, [])
    company.sync()
    shown = planned()
    assert "unchanged 3" in shown
    assert "The audience was last read at" in shown
    assert "add" not in shown
    assert "@" not in shown


def test_a_dry_run_says_that_the_sync_would_stop(company: Company) -> None:
    company.sync()
    company.set_employees()
    assert "The sync would stop: The source holds no employees" in planned()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: ask("5b0e3b5c-0000-4000-8000-000000000000"), "has no such segment"),
        (lambda: ask(organisation_id="globex"), "globex is not connected to Mailchimp"),
        (lambda: planned(organisation_id="globex"), "globex is not connected"),
    ],
)
@pytest.mark.usefixtures("company")
def test_an_invalid_sync_is_reported_at_once(wrong: Callable[[], object], message: str) -> None:
    with pytest.raises(NothingToSync, match=message):
        wrong()
