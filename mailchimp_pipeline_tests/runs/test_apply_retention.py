"""Retention in the pipeline's tables."""

from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import make_url, text

from mailchimp_pipeline.campaigns import Campaign, CampaignSnapshot, refresh
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.campaign_store import CampaignStore
from mailchimp_pipeline.database.session import Database, StatementRefused
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore
from mailchimp_pipeline.services.apply_retention import ApplyRetention, RetentionCounts
from mailchimp_pipeline.settings import PROJECT_ROOT, Settings
from mailchimp_pipeline_tests.campaigns.builders import a_draft, a_sent_one
from mailchimp_pipeline_tests.database.builders import ACME, AT, a_segment

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
ORGANISATIONS = (ACME, "globex")


def a_retention(database: Database, after: timedelta, rows_per_transaction: int = 1000) -> ApplyRetention:
    """Return the retention some time after `AT`, with 90 days for requests and 730 for snapshots."""
    return ApplyRetention(
        database,
        lambda: AT + after,
        dagster_runs=90 * DAY,
        sync_requests=90 * DAY,
        campaign_stats=730 * DAY,
        rows_per_transaction=rows_per_transaction,
    )


def requests(database: Database, organisation_id: str = ACME, *, ended: int = 0, state: str = "") -> None:
    """Create requests that ended at `AT`, and an open one."""
    segment = a_segment(database, organisation_id)
    with database.organisation(organisation_id) as session:
        store = SyncRequestStore(session)
        for number in range(ended + bool(state)):
            made = store.ask(segment.id, by="alice", at=AT - DAY)
            assert made
            if number < ended or state == "running":
                store.start([made.id], segment_ids=[segment.id], run_id="run-1", at=AT - DAY)
            if number < ended and number % 2:
                store.fail(made.id, "The source is gone.", at=AT)
            elif number < ended:
                store.finish(made.id, at=AT)


def request_states(database: Database) -> dict[str, list[str]]:
    with database.everyone() as session:
        rows = session.execute(text("select organisation_id, status from sync_requests order by status")).all()
    return {name: [status for organisation, status in rows if organisation == name] for name in ORGANISATIONS}


def a_campaign_with_snapshots(database: Database, count: int, organisation_id: str = ACME, key: str = "c1") -> Campaign:
    """Track a campaign with a snapshot at `AT` and one for each following day."""
    with database.organisation(organisation_id) as session:
        store = CampaignStore(session)
        campaign = store.track(a_sent_one(key), seen_at=AT, by="alice", at=AT)
        for number in range(1, count):
            at = AT + number * DAY
            store.write(campaign.id, refresh(campaign.status, a_sent_one(key), at), by=audit_log.PIPELINE, at=at)
    return campaign


def snapshot_days(database: Database, campaign: Campaign) -> list[int]:
    with database.organisation(campaign.organisation_id) as session:
        history = CampaignStore(session).history(campaign.id, limit=50)
    assert history
    return [(stats.refreshed_at - AT).days for stats in reversed(history.items)]


@pytest.mark.parametrize(("after", "deleted"), [(90 * DAY - SECOND, 0), (90 * DAY, 0), (90 * DAY + SECOND, 2)])
def test_requests_are_deleted_when_they_ended_longer_ago_than_the_setting(
    database: Database, after: timedelta, deleted: int
) -> None:
    requests(database, ended=2)
    assert a_retention(database, after).delete_rows() == RetentionCounts(deleted, 0)
    assert len(request_states(database)[ACME]) == 2 - deleted


@pytest.mark.parametrize("state", ["waiting", "running"])
def test_a_request_that_has_not_ended_stays_however_old_it_is(database: Database, state: str) -> None:
    requests(database, ended=1, state=state)
    assert a_retention(database, 3000 * DAY).delete_rows().sync_requests == 1
    assert request_states(database)[ACME] == [state]


@pytest.mark.parametrize(("after", "left"), [(730 * DAY, [0, 1]), (730 * DAY + SECOND, [1]), (731 * DAY, [1])])
def test_snapshots_are_deleted_when_they_are_older_than_the_setting(
    database: Database, after: timedelta, left: list[int]
) -> None:
    campaign = a_campaign_with_snapshots(database, 2)
    assert a_retention(database, after).delete_rows() == RetentionCounts(0, 2 - len(left))
    assert snapshot_days(database, campaign) == left


def test_the_latest_snapshot_of_each_campaign_stays_however_old_it_is(database: Database) -> None:
    campaigns = [
        a_campaign_with_snapshots(database, 3),
        a_campaign_with_snapshots(database, 1, key="c2"),
        a_campaign_with_snapshots(database, 2, "globex"),
    ]
    with database.organisation(ACME) as session:
        CampaignStore(session).track(CampaignSnapshot(a_draft("c3")), seen_at=AT, by="alice", at=AT)
    retention = a_retention(database, 3000 * DAY)
    assert retention.delete_rows() == RetentionCounts(0, 3)
    assert [snapshot_days(database, campaign) for campaign in campaigns] == [[2], [0], [1]]
    assert retention.delete_rows() == RetentionCounts(0, 0)


@pytest.mark.parametrize("rows_per_transaction", [1, 2, 3, 6, 7])
def test_rows_are_deleted_in_transactions_of_some_rows_each_until_none_is_left(
    database: Database, rows_per_transaction: int
) -> None:
    for organisation_id in ORGANISATIONS:
        requests(database, organisation_id, ended=6, state="waiting")
        a_campaign_with_snapshots(database, 7, organisation_id)
    retention = a_retention(database, 3000 * DAY, rows_per_transaction)
    assert retention.delete_rows() == RetentionCounts(12, 12)
    assert request_states(database) == {name: ["waiting"] for name in ORGANISATIONS}


def test_one_organisation_deletes_at_most_so_many_rows_and_none_of_another(database: Database) -> None:
    kept = [a_campaign_with_snapshots(database, 3, organisation_id) for organisation_id in ORGANISATIONS]
    for organisation_id in ORGANISATIONS:
        requests(database, organisation_id, ended=3)
    with database.organisation("globex") as session:
        assert SyncRequestStore(session).delete_ended(AT + DAY, limit=2) == 2
        assert CampaignStore(session).delete_stats(AT + 9 * DAY, limit=1) == 1
    assert {name: len(states) for name, states in request_states(database).items()} == {ACME: 3, "globex": 1}
    assert [len(snapshot_days(database, campaign)) for campaign in kept] == [3, 2]


def test_a_request_that_a_transaction_is_about_to_change_is_passed_over(database: Database) -> None:
    requests(database, ended=2)
    with database.unrestricted() as connection:
        connection.execute(text("select id from sync_requests where status = 'failed' for update"))
        assert a_retention(database, 91 * DAY).delete_rows().sync_requests == 1
    assert request_states(database)[ACME] == ["failed"]


def sql_of_the_operator() -> bytes:
    """Return the SQL in docs/operations.md for the audit log."""
    section = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8").partition("## Retention")[2]
    return section.partition("```sql\n")[2].partition("```")[0].encode()


def test_the_owner_deletes_old_entries_of_the_audit_log_with_the_sql_of_the_documentation(
    database: Database, database_url: str
) -> None:
    entity = audit_log.Entity("segment", "1")
    with database.organisation(ACME) as session:
        now = session.scalar(text("select now()"))
        for age in (3 * 366, 3 * 365 - 2):
            audit_log.write(session, audit_log.Entry("alice", f"{age} days old", entity, now - age * DAY))
    address = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(sql_of_the_operator())
    with database.organisation(ACME) as session:
        assert [entry.action for entry in audit_log.entries(session, limit=9).items] == ["1093 days old"]
    with pytest.raises(StatementRefused, match="audit_log is append-only"), database.unrestricted() as connection:
        connection.execute(text("delete from audit_log"))


def test_the_retention_deletes_nothing_of_the_audit_log(database: Database) -> None:
    requests(database, ended=2)
    a_campaign_with_snapshots(database, 2)
    with database.organisation(ACME) as session:
        before = audit_log.entries(session, limit=50).items
    assert a_retention(database, 3000 * DAY).delete_rows() == RetentionCounts(2, 1)
    with database.organisation(ACME) as session:
        assert audit_log.entries(session, limit=50).items == before


def test_the_defaults_keep_runs_and_requests_for_three_months_and_figures_for_two_years() -> None:
    settings = Settings()
    assert (settings.dagster_run_retention_days, settings.sync_request_retention_days) == (90, 90)
    assert settings.campaign_stats_retention_days == 730
