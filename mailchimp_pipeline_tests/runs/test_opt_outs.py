"""Opt-outs of organisations without syncs, which a scheduled run propagates before any segment."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.connection_store import Account, ConnectionStore
from mailchimp_pipeline.mailchimp import Timeouts
from mailchimp_pipeline.services.pipeline import Pipeline
from mailchimp_pipeline.services.update_opt_status import UpdateOptStatus
from mailchimp_pipeline.settings import Settings
from mailchimp_pipeline_tests.database.builders import AT, a_segment
from mailchimp_pipeline_tests.runs.company import Company, write_relations
from mailchimp_pipeline_tests.source_fake import an_employee
from sandbox import Fault, FaultKind, Seed, Status

EMAIL = "ann@globex.test"
NUMBERS = range(4)


def key(number: int) -> ApiKey:
    return ApiKey.parse(f"{number:032x}-us6")


def connect(company: Company, number: int) -> str:
    """Connect another organisation with one member in its audience, and return the audience's id."""
    account_id = company.sandbox.add_account(key(number).reveal())
    list_id = company.sandbox.add_audience(account_id, "Staff")
    company.sandbox.add_members(list_id, [Seed(email_address=EMAIL)])
    parts = company.pipeline.resources
    with parts.database.organisation(f"globex-{number}") as session:
        ConnectionStore(session, parts.keyring).connect(Account(account_id, "Globex", key(number)), by="alice", at=AT)
    return list_id


@pytest.fixture
def list_ids(company: Company) -> list[str]:
    """Return the audiences of organisations without segments, each with an opt-out."""
    staff = [an_employee(organisation_id=f"globex-{number}", email=EMAIL) for number in NUMBERS]
    write_relations(company.files, staff)
    list_ids = [connect(company, number) for number in NUMBERS]
    # An organisation is always due the first time.
    assert {error for _, _, error in company.pipeline.propagate()} == {None}
    parts = company.pipeline.resources
    service = UpdateOptStatus(parts.database, parts.keyring, lambda: parts.source, utc_now)
    for number in NUMBERS:
        contact = EntityType.EMPLOYEE, "1"
        service.record(f"globex-{number}", contact, opted_in=False, consent_source="letter", by="alice")
    return list_ids


def statuses(company: Company, list_ids: list[str]) -> list[Status]:
    return [next(iter(company.sandbox.statuses(list_id))) for list_id in list_ids]


def test_opt_outs_reach_the_audiences_of_organisations_that_sync_nothing(company: Company, list_ids: list[str]) -> None:
    outstanding = [f"globex-{number}" for number in NUMBERS]
    assert list(company.pipeline.organisations_with_opt_outs()) == outstanding
    done = list(company.pipeline.propagate())
    assert done == [(each, {list_id: 1}, None) for each, list_id in zip(outstanding, list_ids, strict=True)]
    assert statuses(company, list_ids) == [Status.UNSUBSCRIBED] * len(list_ids)
    assert list(company.pipeline.organisations_with_opt_outs()) == []


def test_an_organisation_whose_account_cannot_be_asked_keeps_none_of_the_others(
    company: Company, list_ids: list[str]
) -> None:
    company.sandbox.revoke_key(key(0).reveal())
    first, *others = company.pipeline.propagate()
    assert (first[:2], "API key" in (first[2] or "")) == (("globex-0", {}), True)
    assert [error for _, _, error in others] == [None] * len(others)
    assert statuses(company, list_ids) == [Status.SUBSCRIBED, *[Status.UNSUBSCRIBED] * len(others)]
    assert list(company.pipeline.organisations_with_opt_outs()) == ["globex-0"]


def test_a_mailchimp_that_hangs_does_not_keep_the_segments_waiting_for_minutes(company: Company) -> None:
    for number in range(6):
        a_segment(company.pipeline.resources.database, f"globex-{number}", list_id=connect(company, number))
    company.sandbox.add_fault(Fault(kind=FaultKind.LATE, delay_seconds=60, route="/lists/{list_id}/webhooks"))
    parts = company.pipeline.resources
    environment = {**parts.settings.environment(), "MAILCHIMP_PIPELINE_PUBLIC_URL": "https://hooks.acme.test"}
    parts = replace(parts, settings=Settings.from_environment(environment))
    begun = time.monotonic()
    assert list(Pipeline(parts, before=Timeouts(read=2)).sync([], run_id="run", push=True)) == []
    assert time.monotonic() - begun < 30  # each takes seven seconds
    traffic = company.sandbox.counts().accounts.values()
    first_calls = [each.first_call_at for each in traffic if each.first_call_at]
    assert len(first_calls) == 7  # and the organisation itself
    assert max(first_calls) - min(first_calls) < timedelta(seconds=2)
