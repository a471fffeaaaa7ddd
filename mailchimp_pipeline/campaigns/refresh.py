"""What a refresh changes of a tracked campaign, by what was seen of it at Mailchimp.

What does not belong here: asking Mailchimp (`snapshots`), writing it down (`database`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mailchimp_pipeline.campaigns.model import CampaignStatus, Figures
from mailchimp_pipeline.campaigns.snapshots import CampaignSnapshot, MailchimpCampaign, MailchimpReport

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
    """What to write down of a campaign, as it was `at` a moment.

    `seen` is None where Mailchimp no longer has the campaign, `figures` where it has counted nothing; what was
    known before then stays. `problem` says what a person should look at.
    """

    at: datetime
    status: CampaignStatus
    seen: MailchimpCampaign | None = None
    figures: Figures | None = None
    is_missing: bool = False
    problem: str | None = None


def refresh(before: CampaignStatus | None, snapshot: CampaignSnapshot | None, at: datetime) -> Refresh:
    """Return what changes of a campaign that had the status `before`, None where it is new to us.

    `at` is from before Mailchimp was asked. A campaign that is new must have been seen.
    """
    if snapshot is None:
        if before is None:
            raise ValueError("a campaign that nobody has seen cannot be tracked")
        return Refresh(at, before, is_missing=True)
    seen = snapshot.campaign
    status = _status(seen, before)
    return Refresh(
        at,
        status,
        seen,
        figures=_figures(snapshot.report) if snapshot.report else None,
        is_missing=seen.status == _ARCHIVED,
        problem=_problem(seen, status),
    )


def _status(seen: MailchimpCampaign, before: CampaignStatus | None) -> CampaignStatus:
    if seen.status in _STATUSES:
        return _STATUSES[seen.status]
    if seen.status == _ARCHIVED:
        return before or CampaignStatus.SENT
    # A word that came after this was written: a status that is asked for again, so that nothing is lost by a guess.
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
    """Return the rate that Mailchimp gives; made of the counts where it gives none, or one that is no fraction."""
    if said is not None and 0 <= said <= 1:
        return said
    return min(1.0, people / delivered) if delivered and people > 0 else 0.0
