"""A tracked campaign, its figures, and what a refresh changes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from mailchimp_pipeline.campaigns.snapshots import CampaignSnapshot, MailchimpCampaign, MailchimpReport


class CampaignStatus(StrEnum):
    """The status of a campaign."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    SENT = "sent"
    PAUSED = "paused"
    CANCELLED = "cancelled"


FINAL: Final = frozenset({CampaignStatus.SENT, CampaignStatus.CANCELLED})
"""Statuses that do not change any more."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a campaign at one time. Rates are fractions of the delivered e-mails, 0 to 1.

    `open_rate` is Mailchimp's, which includes opens by mail programs that open every e-mail.
    `open_rate_without_machine_opens` leaves these out, and is None for e-mail from before 2024-06-22.
    """

    emails_sent: int
    opens: int
    unique_opens: int
    open_rate: float
    open_rate_without_machine_opens: float | None
    clicks: int
    unique_clicks: int
    click_rate: float
    bounces: int
    unsubscribes: int

    @property
    def delivered(self) -> int:
        """The number of delivered e-mails: those sent, without the bounced ones, at least 0."""
        return max(0, self.emails_sent - self.bounces)


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures of a campaign at one refresh."""

    refreshed_at: datetime
    status: CampaignStatus
    figures: Figures


@dataclass(frozen=True, slots=True)
class Campaign:
    """A tracked campaign with its latest figures, which are None before the first refresh that finds some.

    `missing_since` is the time at which a refresh found that the campaign is deleted or archived at Mailchimp, None if
    it is not. The figures then stay as they were.
    """

    id: str
    organisation_id: str
    mailchimp_campaign_id: str
    title: str
    status: CampaignStatus
    created_at: datetime
    subject_line: str | None = None
    mailchimp_list_id: str | None = None
    open_rate: float | None = None
    click_rate: float | None = None
    emails_sent: int | None = None
    unique_opens: int | None = None
    unique_clicks: int | None = None
    send_time: datetime | None = None
    last_refreshed_at: datetime | None = None
    missing_since: datetime | None = None


def settling_since(now: datetime, settle_days: int) -> datetime:
    """Return the time `settle_days` before `now`.

    Campaigns sent later than that are still refreshed, because their figures may still change.
    """
    return now - timedelta(days=settle_days)


_STATUSES: Final = {
    "save": CampaignStatus.DRAFT,
    "schedule": CampaignStatus.SCHEDULED,
    "sending": CampaignStatus.SENDING,
    "sent": CampaignStatus.SENT,
    "paused": CampaignStatus.PAUSED,
    "canceled": CampaignStatus.CANCELLED,
    "canceling": CampaignStatus.CANCELLED,
}
_ARCHIVED: Final = "archived"
_LONGEST_WORD: Final = 40


@dataclass(frozen=True, slots=True)
class Refresh:
    """What a refresh found out about a campaign. `at` is the time before the calls to Mailchimp.

    `seen` is None if Mailchimp no longer has the campaign, and `figures` is None if there is no report. The stored
    values then stay as they are. `is_missing` is true if the campaign is deleted or archived. `problem` is a message
    for users.
    """

    at: datetime
    status: CampaignStatus
    seen: MailchimpCampaign | None = None
    figures: Figures | None = None
    is_missing: bool = False
    problem: str | None = None


def refresh(before: CampaignStatus | None, snapshot: CampaignSnapshot | None, at: datetime) -> Refresh:
    """Return what to store about a campaign: its status and figures, and whether it is missing at Mailchimp.

    `before` is the stored status, None for a campaign that is not tracked yet. `snapshot` is what Mailchimp returned,
    None if it does not have the campaign, and `at` is when it was asked. Raises `ValueError` if both are None.
    """
    if snapshot is None:
        if before is None:
            raise ValueError("a campaign that nobody has seen cannot be tracked")
        return Refresh(at, before, is_missing=True)
    seen = snapshot.campaign
    status = campaign_status(seen, before)
    return Refresh(
        at,
        status,
        seen,
        figures=_figures(snapshot.report) if snapshot.report else None,
        is_missing=seen.status == _ARCHIVED,
        problem=_problem(seen, status),
    )


def campaign_status(seen: MailchimpCampaign, before: CampaignStatus | None = None) -> CampaignStatus:
    """Return the status of a campaign, given the one that is stored, if any."""
    if seen.status in _STATUSES:
        return _STATUSES[seen.status]
    if seen.status == _ARCHIVED:
        return before or CampaignStatus.SENT
    # An unknown status becomes one that is refreshed again, so that a wrong guess loses nothing.
    return before or (CampaignStatus.SENDING if seen.send_time else CampaignStatus.DRAFT)


def _problem(seen: MailchimpCampaign, kept: CampaignStatus) -> str | None:
    if seen.status in _STATUSES or seen.status == _ARCHIVED:
        return None
    return (
        f"Mailchimp says {seen.status[:_LONGEST_WORD]!r} of campaign {seen.id}, a status that this version does not "
        f"know. It counts as {kept}. Look for a newer version, or report it."
    )


def _figures(report: MailchimpReport) -> Figures:
    bounces = report.hard_bounces + report.soft_bounces
    delivered = max(0, report.emails_sent - bounces)
    people_who_clicked = report.subscriber_clicks or report.unique_clicks
    return Figures(
        emails_sent=report.emails_sent,
        opens=report.opens,
        unique_opens=report.unique_opens,
        open_rate=_rate(report.open_rate, report.unique_opens, delivered),
        open_rate_without_machine_opens=_rate_without_machines(report, delivered),
        clicks=report.clicks,
        unique_clicks=report.unique_clicks,
        click_rate=_rate(report.click_rate, people_who_clicked, delivered),
        bounces=bounces,
        unsubscribes=report.unsubscribed,
    )


def _rate_without_machines(report: MailchimpReport, delivered: int) -> float | None:
    if report.proxy_excluded_open_rate is None and report.proxy_excluded_unique_opens is None:
        return None
    return _rate(report.proxy_excluded_open_rate, report.proxy_excluded_unique_opens or 0, delivered)


def _rate(said: float | None, people: int, delivered: int) -> float:
    """Return Mailchimp's rate, or `people / delivered` if Mailchimp gives none or one that is not between 0 and 1.

    Without deliveries, the rate is 0.
    """
    if said is not None and 0 <= said <= 1:
        return said
    return min(1.0, people / delivered) if delivered and people > 0 else 0.0
