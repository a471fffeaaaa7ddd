"""Stored campaigns: tracked once, refreshed in order, due while their figures change."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from mailchimp_pipeline.campaigns import (
    Campaign,
    CampaignSnapshot,
    CampaignStatus,
    MailchimpCampaign,
    MailchimpReport,
    refresh,
)
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.campaign_store import CampaignStore, due_campaigns, histories
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.paging import CursorInvalid
from mailchimp_pipeline.database.session import Database, StatementRefused
from mailchimp_pipeline.database.tables import CampaignRow, row_id
from mailchimp_pipeline_tests.campaigns.builders import (
    AT,
    HOUR,
    a_draft,
    a_mailchimp_campaign,
    a_report,
    a_sent_one,
)
from mailchimp_pipeline_tests.database.builders import ACME, KEYRING, a_connection

LONG_AGO = AT - timedelta(days=365)


def track(
    database: Database, snapshot: CampaignSnapshot | None = None, organisation_id: str = ACME, at: datetime = AT
) -> Campaign:
    with database.organisation(organisation_id) as session:
        return CampaignStore(session).track(snapshot or CampaignSnapshot(a_draft()), seen_at=at, by="alice", at=at)


def write(
    database: Database,
    campaign: Campaign,
    snapshot: CampaignSnapshot | None,
    at: datetime,
    by: str = audit_log.PIPELINE,
) -> Campaign:
    with database.organisation(campaign.organisation_id) as session:
        found = refresh(campaign.status, snapshot, at)
        after = CampaignStore(session).write(campaign.id, found, by=by, at=at)
    assert after is not None
    return after


def due(database: Database, settling_since: datetime = AT + HOUR) -> list[str]:
    with database.everyone() as session:
        return [campaign.mailchimp_campaign_id for campaign in due_campaigns(session, settling_since=settling_since)]


def details(database: Database, campaign: Campaign) -> list[tuple[str, str, object]]:
    with database.organisation(campaign.organisation_id) as session:
        found = audit_log.entries(session, limit=50, entity=audit_log.Entity("campaign", campaign.id)).items
    return [(entry.actor, entry.action, entry.details) for entry in found]


def test_a_campaign_is_tracked_once(database: Database) -> None:
    first, second = track(database, a_sent_one()), track(database, CampaignSnapshot(a_draft()), at=AT + HOUR)
    assert (second.id, second.created_at, second.status) == (first.id, AT, CampaignStatus.DRAFT)
    with database.organisation(ACME) as session:
        assert CampaignStore(session).list(limit=10).items == (second,)


def test_tracking_a_campaign_twice_at_once_creates_one(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        tracking = [pool.submit(track, database, a_sent_one()) for _ in range(4)]
    assert len({tracked.result().id for tracked in tracking}) == 1


def test_the_same_campaign_may_be_tracked_by_two_organisations(database: Database) -> None:
    ours, theirs = track(database), track(database, organisation_id="bolt")
    with database.organisation("bolt") as session:
        store = CampaignStore(session)
        assert (store.get(ours.id), store.get(theirs.id), store.list(limit=9).items) == (None, theirs, (theirs,))
        assert store.history(ours.id, limit=9) is None
        assert store.write(ours.id, refresh(None, a_sent_one(), AT), by="eve", at=AT) is None


def test_values_that_mailchimp_no_longer_reports_stay(database: Database) -> None:
    campaign = track(database, a_sent_one())
    after = write(database, campaign, CampaignSnapshot(a_mailchimp_campaign()), AT + HOUR)
    assert (after.open_rate, after.emails_sent, after.last_refreshed_at) == (0.4, 110, AT + HOUR)
    with database.organisation(ACME) as session:
        history = CampaignStore(session).history(campaign.id, limit=9)
    assert history is not None
    assert [row.refreshed_at for row in history.items] == [AT]


def test_a_campaign_without_a_title_goes_by_its_subject_or_its_id(database: Database) -> None:
    untitled = CampaignSnapshot(MailchimpCampaign("c1", "save", subject_line="What is new"))
    unnamed = CampaignSnapshot(MailchimpCampaign("c2", "save"))
    assert (track(database, untitled).title, track(database, unnamed).title) == ("What is new", "c2")


@pytest.mark.parametrize("snapshot", [a_sent_one(), None])
def test_a_refresh_that_looked_earlier_changes_nothing(database: Database, snapshot: CampaignSnapshot | None) -> None:
    campaign = track(database)
    later = write(database, campaign, snapshot, AT + 2 * HOUR)
    assert write(database, later, CampaignSnapshot(a_draft()), AT + HOUR) == later


def test_a_returned_campaign_is_no_longer_missing(database: Database) -> None:
    campaign = track(database)
    gone = write(database, campaign, None, AT + HOUR)
    still_gone = write(database, gone, None, AT + 2 * HOUR)
    assert (still_gone.missing_since, still_gone.last_refreshed_at) == (AT + HOUR, AT)
    assert track(database, at=AT + 3 * HOUR).missing_since is None


def test_campaigns_come_in_pages_those_tracked_last_first(database: Database) -> None:
    made = [track(database, CampaignSnapshot(a_draft(f"c{n}")), at=AT + n // 2 * HOUR) for n in range(5)]
    with database.organisation(ACME) as session:
        store = CampaignStore(session)
        first = store.list(limit=3)
        rest = store.list(limit=3, cursor=first.next_cursor)
        with pytest.raises(CursorInvalid):
            store.list(limit=3, cursor="nonsense")
    assert {campaign.id for campaign in first.items + rest.items} == {campaign.id for campaign in made}
    assert (first.items[0], len(rest.items), rest.next_cursor) == (made[4], 2, None)


@pytest.mark.parametrize(
    ("word", "is_due"),
    [("save", True), ("schedule", True), ("sending", True), ("paused", True), ("sent", False), ("canceled", False)],
)
def test_campaigns_are_due_until_they_are_over(database: Database, word: str, is_due: bool) -> None:
    a_connection(database)
    track(database, CampaignSnapshot(a_mailchimp_campaign(status=word), a_report()))
    assert bool(due(database)) is is_due


def test_sent_campaigns_are_due_while_their_figures_settle_or_are_incomplete(database: Database) -> None:
    a_connection(database)
    track(database, a_sent_one("counted"))
    track(database, CampaignSnapshot(a_mailchimp_campaign("uncounted", sent_at=LONG_AGO)))
    partly = track(database, CampaignSnapshot(a_mailchimp_campaign("partly", "sending"), a_report()))
    write(database, partly, CampaignSnapshot(a_mailchimp_campaign("partly")), AT + HOUR)
    assert sorted(due(database)) == ["partly", "uncounted"]
    assert sorted(due(database, AT - HOUR)) == ["counted", "partly", "uncounted"]


def test_missing_and_disconnected_campaigns_are_not_due(database: Database) -> None:
    a_connection(database)
    write(database, track(database), None, AT + HOUR)
    track(database, organisation_id="bolt")
    assert due(database) == []
    track(database, CampaignSnapshot(a_draft("c2")))
    assert due(database) == ["c2"]
    with database.organisation(ACME) as session:
        ConnectionStore(session, KEYRING).disconnect(by="alice", at=AT)
    assert due(database) == []


def test_histories_are_the_latest_figures_the_oldest_first(database: Database) -> None:
    counted, draft = track(database, a_sent_one("c1")), track(database, CampaignSnapshot(a_draft("c2")))
    for hours in (1, 2, 3):
        write(database, counted, a_sent_one("c1"), AT + hours * HOUR)
    with database.everyone() as session:
        found = histories(session, [counted.id, draft.id], latest=2)
    assert {key: [row.refreshed_at - AT for row in rows] for key, rows in found.items()} == {
        counted.id: [2 * HOUR, 3 * HOUR]
    }


def test_the_audit_log_tells_who_tracked_and_what_changed(database: Database) -> None:
    campaign = track(database)
    write(database, campaign, CampaignSnapshot(a_draft()), AT + HOUR)
    write(database, campaign, a_sent_one(), AT + 2 * HOUR)
    write(database, campaign, None, AT + 3 * HOUR, by="bob")
    assert details(database, campaign) == [
        ("bob", "campaign.refreshed", {"status": "draft", "before": "sent", "missing": True}),
        (audit_log.PIPELINE, "campaign.refreshed", {"status": "sent", "before": "draft", "missing": False}),
        ("alice", "campaign.tracked", {"mailchimp_campaign_id": "c1", "status": "draft"}),
    ]


def test_a_refresh_that_cannot_be_written_leaves_no_trace(database: Database) -> None:
    campaign = track(database)
    too_many = CampaignSnapshot(a_mailchimp_campaign(), MailchimpReport("c1", opens=2**31))
    with pytest.raises(StatementRefused):
        write(database, campaign, too_many, AT + HOUR)
    with database.organisation(ACME) as session:
        assert CampaignStore(session).get(campaign.id) == campaign
    assert len(details(database, campaign)) == 1


@pytest.mark.parametrize("rate", [-0.1, 1.1, 40.0])
def test_the_database_takes_no_rate_that_is_no_fraction(database: Database, rate: float) -> None:
    campaign = track(database)
    statement = update(CampaignRow).where(CampaignRow.id == row_id(campaign.id)).values(open_rate=rate)
    with database.organisation(ACME) as session, pytest.raises(IntegrityError):
        session.execute(statement)
