"""Convert rows of campaigns and figures to values, and refreshes to rows."""

from collections.abc import Mapping
from datetime import datetime

from mailchimp_pipeline.campaigns import Campaign, CampaignStatus, Figures, Refresh, Stats
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.tables import CampaignRow, CampaignStatsRow


def campaign_of(row: CampaignRow) -> Campaign:
    """Return the row as a campaign."""
    return Campaign(
        id=str(row.id),
        organisation_id=row.organisation_id,
        mailchimp_campaign_id=row.mailchimp_campaign_id,
        title=row.title,
        status=CampaignStatus(row.status),
        created_at=row.created_at,
        subject_line=row.subject_line,
        mailchimp_list_id=row.mailchimp_list_id,
        open_rate=row.open_rate,
        click_rate=row.click_rate,
        emails_sent=row.emails_sent,
        unique_opens=row.unique_opens,
        unique_clicks=row.unique_clicks,
        send_time=row.send_time,
        last_refreshed_at=row.last_refreshed_at,
        missing_since=row.missing_since,
    )


def stats_of(row: CampaignStatsRow) -> Stats:
    """Return the row as figures."""
    figures = Figures(
        emails_sent=row.emails_sent,
        opens=row.opens,
        unique_opens=row.unique_opens,
        open_rate=row.open_rate,
        open_rate_without_machine_opens=row.open_rate_without_machine_opens,
        clicks=row.clicks,
        unique_clicks=row.unique_clicks,
        click_rate=row.click_rate,
        bounces=row.bounces,
        unsubscribes=row.unsubscribes,
    )
    return Stats(row.refreshed_at, CampaignStatus(row.status), figures)


def is_news(row: CampaignRow, refresh: Refresh) -> bool:
    """Return whether the refresh is later than the row's last refresh."""
    looked = [moment for moment in (row.last_refreshed_at, row.missing_since) if moment is not None]
    return not looked or refresh.at > max(looked)


def take_over(row: CampaignRow, refresh: Refresh, *, missing_since: datetime | None) -> None:
    """Write the refresh to the row. Values that Mailchimp no longer returns stay as they are."""
    row.status, row.missing_since = refresh.status.value, missing_since
    if seen := refresh.seen:
        row.title = seen.title or seen.subject_line or seen.id
        row.subject_line, row.mailchimp_list_id = seen.subject_line or None, seen.list_id or None
        row.send_time, row.last_refreshed_at = seen.send_time, refresh.at
    if figures := refresh.figures:
        row.open_rate, row.click_rate = figures.open_rate, figures.click_rate
        row.emails_sent, row.unique_opens = figures.emails_sent, figures.unique_opens
        row.unique_clicks = figures.unique_clicks


def stats_row(row: CampaignRow, refresh: Refresh, figures: Figures) -> CampaignStatsRow:
    """Return the new row of the campaign's history."""
    return CampaignStatsRow(
        organisation_id=row.organisation_id,
        campaign_id=row.id,
        status=refresh.status.value,
        emails_sent=figures.emails_sent,
        opens=figures.opens,
        unique_opens=figures.unique_opens,
        open_rate=figures.open_rate,
        open_rate_without_machine_opens=figures.open_rate_without_machine_opens,
        clicks=figures.clicks,
        unique_clicks=figures.unique_clicks,
        click_rate=figures.click_rate,
        bounces=figures.bounces,
        unsubscribes=figures.unsubscribes,
        refreshed_at=refresh.at,
    )


def audit_entry(row: CampaignRow, action: str, by: str, at: datetime, details: Mapping[str, object]) -> audit.Entry:
    """Return the audit entry for a change of the campaign."""
    return audit.Entry(by, action, audit.Entity("campaign", str(row.id)), at, details)
