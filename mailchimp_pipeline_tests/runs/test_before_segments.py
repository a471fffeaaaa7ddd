"""What a scheduled run does before any segment: opt-outs carried, for several organisations at once."""

import time
from datetime import timedelta

from mailchimp_pipeline.assembly import DatabasePipeline, Parts
from mailchimp_pipeline.connections import ApiKey
from mailchimp_pipeline.contacts import EntityType, subscriber_hash
from mailchimp_pipeline.database.connections import Account, ConnectionStore
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.preferences import PreferenceStore, Word
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.mailchimp import Timeouts
from mailchimp_pipeline.sandbox import Fault, FaultKind, Sandbox, Seed, Status
from mailchimp_pipeline.sync import MemberStatus, Standing
from mailchimp_pipeline_tests.database.builders import AT, a_member, members
from mailchimp_pipeline_tests.runs.company import Company

EMAIL = "ann@acme.test"
ANN = subscriber_hash(EMAIL)


def an_opt_out(parts: Parts, sandbox: Sandbox, number: int) -> str:
    """Return the audience of an organisation that does not know yet who opted out."""
    organisation_id, api_key = f"globex-{number}", ApiKey.parse(f"{number:032x}-us6")
    account_id = sandbox.add_account(api_key.reveal())
    list_id = sandbox.add_audience(account_id, "Staff")
    sandbox.add_members(list_id, [Seed(email_address=EMAIL)])
    word = Word(EntityType.EMPLOYEE, "1", opted_in=False, source="letter", subscriber_hash=ANN)
    with parts.database.organisation(organisation_id) as session:
        ConnectionStore(session, parts.keyring).connect(Account(account_id, "Globex", api_key), by="alice", at=AT)
        PreferenceStore(session, parts.keyring).record(word, by="alice", at=AT)
    ledger = DatabaseLedger(parts.database, organisation_id, list_id, lambda: AT)
    ledger.take_over([Standing(ANN, MemberStatus.SUBSCRIBED, AT)])
    DatabaseRecords(parts.database, parts.keyring, lambda: AT).link_words(organisation_id, members(a_member(EMAIL)))
    return list_id


def told(company: Company, list_ids: list[str]) -> list[bool]:
    """Do what comes before the segments of a run that has none; return which audiences heard of the opt-out."""
    pipeline = DatabasePipeline(company.pipeline.parts, before=Timeouts(read=2))
    assert list(pipeline.sync([], run_id="run", push=True)) == []
    members = [company.sandbox.member(list_id, EMAIL) for list_id in list_ids]
    return [member is not None and member.status is Status.UNSUBSCRIBED for member in members]


def test_opt_outs_are_carried_for_several_organisations_at_once(company: Company) -> None:
    list_ids = [an_opt_out(company.pipeline.parts, company.sandbox, number) for number in range(4)]
    company.sandbox.configure(latency_ms=1000)
    assert told(company, list_ids) == [True] * 4
    begun = [traffic.first_call_at for traffic in company.sandbox.counts().accounts.values() if traffic.first_call_at]
    assert len(begun) == 4
    assert max(begun) - min(begun) < timedelta(seconds=2.5)  # one after the other it would be three


def test_a_mailchimp_that_hangs_does_not_keep_the_segments_waiting_for_minutes(company: Company) -> None:
    list_ids = [an_opt_out(company.pipeline.parts, company.sandbox, number) for number in range(6)]
    company.sandbox.add_fault(Fault(kind=FaultKind.LATE, delay_seconds=60))
    begun = time.monotonic()
    told(company, list_ids)
    assert time.monotonic() - begun < 30  # each takes seven seconds
