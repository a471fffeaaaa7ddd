"""A tracked campaign and its figures.

What does not belong here: Mailchimp's format (`snapshots`), the conversion (`refresh`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class CampaignStatus(StrEnum):
    """The status of a campaign."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    SENT = "sent"
    PAUSED = "paused"
    CANCELLED = "cancelled"


FINAL: Final = frozenset({CampaignStatus.SENT, CampaignStatus.CANCELLED})
"""Statuses that never change again."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a campaign at one time. Rates are fractions of the successful deliveries, 0 to 1.

    `open_rate` is Mailchimp's, which includes opens by mail programs that open every e-mail.
    `open_rate_without_machine_opens` excludes them, and is None for mail from before 2024-06-22.
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
        """The number of delivered e-mails, at least 0. Rates are fractions of it."""
        return max(0, self.emails_sent - self.bounces)


@dataclass(frozen=True, slots=True)
class Stats:
    """The figures of a campaign at one refresh."""

    refreshed_at: datetime
    status: CampaignStatus
    figures: Figures


@dataclass(frozen=True, slots=True)
class Campaign:
    """A tracked campaign with its latest figures, which are None before the first.

    `missing_since` is when the campaign was found deleted or archived at Mailchimp. Its other values then stay the
    same.
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
    """Return the earliest send time of campaigns whose figures may still change."""
    return now - timedelta(days=settle_days)
