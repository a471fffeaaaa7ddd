"""Several processes with one account never exceed its ten connections and never send a contact twice."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailchimp_pipeline.database.segment_store import SegmentStore
from mailchimp_pipeline.database.sync_request_store import RequestStatus
from mailchimp_pipeline.segments import SegmentStatus
from mailchimp_pipeline.sync import CONNECTIONS
from mailchimp_pipeline_tests.api.served import SECRET
from mailchimp_pipeline_tests.database.builders import ACME, LIST, a_segment
from mailchimp_pipeline_tests.killed import workers
from mailchimp_pipeline_tests.killed.calling import api, ask
from mailchimp_pipeline_tests.runs.company import Company, a_company
from mailchimp_pipeline_tests.source_fake import an_employee
from mailchimp_pipeline_tests.waiting import START_TIMEOUT_SECONDS, eventually
from sandbox import Status

PEOPLE = 3000
OTHER_LIST = "b2c3d4e5f6"
CALLS = 40


@pytest.fixture
def company(database_url: str, tmp_path: Path) -> Generator[Company]:
    """Return an organisation with two audiences and a slow Mailchimp."""
    with a_company(database_url, tmp_path / "files") as made:
        made.set_employees(*(an_employee(id=str(number), email=f"p{number}@acme.test") for number in range(PEOPLE)))
        (account_id,) = made.sandbox.counts().accounts or [made.connection().account_id]
        made.sandbox.add_audience(account_id, "Others", OTHER_LIST)
        made.sandbox.configure(latency_ms=40, latency_per_contact_ms=0.3)
        yield made


def environment(company: Company) -> dict[str, str]:
    return {**company.pipeline.resources.settings.environment(), "MAILCHIMP_PIPELINE_TOKEN_SECRET": SECRET}


def test_runs_a_request_and_two_apis_share_the_connections_of_the_account(company: Company) -> None:
    other = a_segment(company.pipeline.resources.database, name="Others", list_id=OTHER_LIST)
    request, settings = company.request_sync(), environment(company)
    keys = [company.segment.partition_key, other.partition_key]
    with api(settings) as (first, _), api(settings) as (second, _), ThreadPoolExecutor(8) as pool:
        runs = [workers.start(workers.sync, settings, key, f"{key}-{n}", None) for key in keys for n in range(2)]
        runs.append(workers.start(workers.sync, settings, keys[0], "asked-for", request.id))
        calls = [pool.submit(ask, (first, second)[n % 2], "connection.listAudiences") for n in range(CALLS)]
        answers = [calling.result() for calling in calls]
        eventually(lambda: all(run.exitcode is not None for run in runs), START_TIMEOUT_SECONDS)
    traffic = company.sandbox.counts().total
    assert [run.exitcode for run in runs] == [0] * len(runs)
    assert {answer and answer.status for answer in answers} <= {200, 429}
    assert (traffic.peak_connections <= CONNECTIONS, traffic.answers(429)) == (True, 0)
    for list_id in (LIST, OTHER_LIST):
        assert company.sandbox.statuses(list_id) == {Status.SUBSCRIBED: PEOPLE}
        assert set(company.sandbox.sent(list_id).values()) == {1}
    with company.pipeline.resources.database.organisation(ACME) as session:
        stored = [SegmentStore(session).get(segment.id) for segment in (company.segment, other)]
    assert {segment.status for segment in stored if segment} == {SegmentStatus.SYNCED}
    assert company.stored_request(request).status is RequestStatus.DONE
