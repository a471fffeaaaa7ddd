"""Refreshes of whole organisations with the sandbox and PostgreSQL."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from mailchimp_pipeline.campaigns import Campaign, CampaignStatus
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline_tests.campaigns.stage import Stage, a_stage
from mailchimp_pipeline_tests.mailchimp.stages import HourClock
from sandbox import CampaignStatus as There
from sandbox import Figures, Sandbox

FIGURES = Figures(emails_sent=110, hard_bounces=10, opens=90, unique_opens=40, clicks=30, unique_clicks=25)
LATER = FIGURES.model_copy(update={"unique_opens": 60})


def send(stage: Stage, campaign: Campaign, figures: Figures = FIGURES, status: There = There.SENT) -> None:
    stage.sandbox.move_campaign(campaign.mailchimp_campaign_id, status)
    stage.sandbox.set_figures(campaign.mailchimp_campaign_id, figures)


def audit_actions(stage: Stage, campaign: Campaign) -> list[str]:
    with stage.parts.database.organisation(campaign.organisation_id) as session:
        entries = audit_log.entries(session, limit=50, entity=audit_log.Entity("campaign", campaign.id))
    return [f"{entry.actor} {entry.action}" for entry in entries.items]


def test_a_campaign_is_followed_from_its_draft_to_its_final_counts(stage: Stage) -> None:
    stage.connect()
    campaign, seen = stage.track(), list[str]()
    for status in (There.SCHEDULE, There.SENDING, There.SENT):
        send(stage, campaign, status=status)
        stage.refresh()
        seen.append(stage.now(campaign).status)
    after = stage.now(campaign)
    assert (seen, after.open_rate, after.click_rate) == (["scheduled", "sending", "sent"], 0.4, 0.25)
    assert [row.status for row in stage.history(campaign)] == ["sent", "sending"]


def test_what_was_sent_is_left_alone_by_default(stage: Stage) -> None:
    stage.connect()
    campaign = stage.track()
    send(stage, campaign)
    stage.refresh()
    stage.sandbox.set_figures(campaign.mailchimp_campaign_id, LATER)
    assert stage.refresh() == []
    assert stage.now(campaign).open_rate == 0.4


def test_what_was_sent_lately_is_followed_while_it_settles(
    database_url: str, sandbox: Sandbox, hours: HourClock
) -> None:
    with a_stage(database_url, sandbox, hours, settle_days=2) as stage:
        stage.connect()
        campaign = stage.track()
        send(stage, campaign)
        stage.refresh()
        stage.sandbox.set_figures(campaign.mailchimp_campaign_id, LATER)
        stage.refresh()
        assert [row.figures.open_rate for row in stage.history(campaign)] == [0.6, 0.4]
        hours.now += timedelta(days=2)
        assert stage.refresh() == []


def test_final_counts_that_are_not_there_yet_are_waited_for(stage: Stage, hours: HourClock) -> None:
    stage.connect()
    campaign = stage.track()
    stage.sandbox.move_campaign(campaign.mailchimp_campaign_id, There.SENT, hours() + timedelta(minutes=90))
    stage.refresh()
    assert (stage.now(campaign).status, stage.now(campaign).open_rate) == ("sent", None)
    stage.sandbox.set_figures(campaign.mailchimp_campaign_id, FIGURES)
    stage.refresh()
    assert stage.now(campaign).open_rate == 0.4
    assert stage.refresh() == []


def test_a_thousand_campaigns_of_twenty_organisations_take_few_requests(
    stage: Stage, report: Callable[[str], None]
) -> None:
    organisations = [f"acme{number}" for number in range(20)]
    accounts = [stage.connect(organisation) for organisation in organisations]
    tracked = [campaign for organisation in organisations for campaign in stage.track_many(50, organisation)]
    for campaign in tracked:
        send(stage, campaign, status=There.SENDING)
    stage.sandbox.reset_counts()
    refreshes = stage.refresh()
    counts = stage.sandbox.counts()
    most = max(counts.accounts[account].calls for account in accounts)
    report(
        f"{len(tracked)} campaigns of {len(accounts)} organisations: {counts.total.calls} calls, at most {most} of one"
    )
    assert most <= 3
    assert sum(len(refresh.campaigns) for refresh in refreshes) == len(tracked) == 1000
    assert {result.campaign.open_rate for refresh in refreshes for result in refresh.campaigns} == {0.4}


def test_a_big_account_costs_at_most_three_requests_a_page(stage: Stage) -> None:
    account = stage.connect()
    oldest = stage.track()
    stage.hours.pass_hour()
    for _ in range(1500):
        stage.sandbox.add_campaign(stage.lists["acme"])
    send(stage, oldest)
    stage.sandbox.reset_counts()
    stage.refresh()
    assert stage.sandbox.counts().accounts[account].calls == 3
    assert stage.now(oldest).open_rate == 0.4


def test_an_organisation_whose_key_is_revoked_does_not_stop_the_others(stage: Stage) -> None:
    for organisation in ("acme", "bolt"):
        stage.connect(organisation)
    kept, fresh = stage.track("acme"), stage.track("bolt")
    for campaign in (kept, fresh):
        send(stage, campaign, status=There.SENDING)
    stage.refresh()
    stage.sandbox.revoke_key(stage.key_of("acme"))
    stage.sandbox.set_figures(fresh.mailchimp_campaign_id, LATER)
    refreshes = {refresh.organisation_id: refresh for refresh in stage.refresh()}
    assert "refused the API key" in refreshes["acme"].failures["*"]
    assert (stage.now(kept).open_rate, stage.now(fresh).open_rate) == (0.4, 0.6)
    assert [stage.connection(organisation).key_refused_at is None for organisation in ("acme", "bolt")] == [False, True]


def test_the_first_answer_after_an_account_was_reactivated_takes_the_mark_off_its_connection(stage: Stage) -> None:
    account = stage.connect()
    stage.track()
    stage.sandbox.set_deactivated(account)
    stage.refresh()
    assert stage.connection().key_refused_at is not None
    stage.sandbox.set_deactivated(account, deactivated=False)
    (refresh,) = stage.refresh()
    assert (refresh.error, stage.connection().key_refused_at) == (None, None)


@pytest.mark.parametrize("how", ["deleted", "archived"])
def test_a_campaign_that_is_gone_is_kept_marked_and_left_alone(stage: Stage, how: str) -> None:
    stage.connect()
    campaign, other = stage.track(), stage.track()
    send(stage, campaign, status=There.SENDING)
    stage.refresh()
    if how == "deleted":
        stage.sandbox.delete_campaign(campaign.mailchimp_campaign_id)
    else:
        stage.sandbox.move_campaign(campaign.mailchimp_campaign_id, There.ARCHIVED)
    (refresh,) = stage.refresh()
    after = stage.now(campaign)
    assert (refresh.failures, after.status, after.open_rate) == ({}, CampaignStatus.SENDING, 0.4)
    assert after.missing_since == stage.hours()
    (again,) = stage.refresh()
    assert [result.campaign.id for result in again.campaigns] == [other.id]


def test_what_was_looked_for_in_a_wrong_account_is_looked_for_again(stage: Stage) -> None:
    account = stage.connect()
    campaign, wrong_key = stage.track(), "f" * 32 + "-us6"
    send(stage, campaign)
    stage.connect_to(stage.sandbox.add_account(wrong_key), wrong_key)
    stage.refresh()
    assert stage.now(campaign).missing_since == stage.hours()
    stage.connect_to(account, stage.key_of("acme"))
    stage.refresh()
    after = stage.now(campaign)
    assert (after.missing_since, after.status, after.open_rate) == (None, "sent", 0.4)


def test_what_is_still_gone_after_connecting_again_is_asked_for_once(stage: Stage) -> None:
    account = stage.connect()
    campaign = stage.track()
    stage.sandbox.delete_campaign(campaign.mailchimp_campaign_id)
    stage.refresh()
    stage.hours.pass_hour()
    stage.connect_to(account, stage.key_of("acme"))
    assert len(stage.refresh()) == 1
    assert stage.now(campaign).missing_since == stage.hours()
    assert stage.refresh() == []


def test_a_campaign_that_cannot_be_written_down_does_not_stop_the_others(stage: Stage) -> None:
    stage.connect()
    broken, fine = stage.track(), stage.track()
    send(stage, broken, FIGURES.model_copy(update={"opens": 3_000_000_000}))
    send(stage, fine)
    (refresh,) = stage.refresh()
    assert list(refresh.failures) == [broken.mailchimp_campaign_id]
    assert [campaign.id for campaign in refresh.refreshed] == [fine.id]
    assert (stage.now(broken), stage.now(fine).open_rate) == (broken, 0.4)


def test_organisations_that_are_not_connected_are_left_alone(stage: Stage) -> None:
    stage.connect()
    stage.track()
    with stage.parts.database.organisation("acme") as session:
        ConnectionStore(session, stage.parts.keyring).disconnect(by="alice", at=stage.hours())
    assert stage.refresh() == []


def test_only_changes_are_audited(stage: Stage) -> None:
    stage.connect()
    campaign = stage.track()
    stage.refresh()
    stage.refresh()
    send(stage, campaign)
    stage.refresh()
    assert audit_actions(stage, campaign) == ["mailchimp-pipeline campaign.refreshed", "alice campaign.tracked"]
