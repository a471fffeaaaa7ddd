"""What a tracked campaign is, in our words.

What does not belong here: Mailchimp's words (`snapshots`), how the one becomes the other (`refresh`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class CampaignStatus(StrEnum):
    """How far a campaign has come."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    SENT = "sent"
    PAUSED = "paused"
    CANCELLED = "cancelled"


FINAL: Final = frozenset({CampaignStatus.SENT, CampaignStatus.CANCELLED})
"""Statuses that a campaign does not leave again."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a campaign up to a moment. Rates are fractions of the successful deliveries, 0 to 1.

    `open_rate` is Mailchimp's own, in which mail programs that open everything by themselves count as readers;
    `open_rate_without_machine_opens` leaves them out, and is None for mail from before 2024-06-22.
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
        """How many mails arrived: what the rates are fractions of."""
        return max(0, self.emails_sent - self.bounces)


@dataclass(frozen=True, slots=True)
class Stats:
    """A campaign's figures as one refresh found them."""

    refreshed_at: datetime
    status: CampaignStatus
    figures: Figures


@dataclass(frozen=True, slots=True)
class Campaign:
    """A tracked campaign with its latest figures, None before there were any.

    `missing_since` is when it was found deleted or archived at Mailchimp: what is known of it stays as it was.
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
    """Return the moment after which a campaign must have been sent for its figures to be followed still."""
    return now - timedelta(days=settle_days)
