"""The campaigns of an account: status and report figures."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class CampaignStatus(StrEnum):
    """The status of a campaign. A list request can filter by the first five."""

    SAVE = "save"
    PAUSED = "paused"
    SCHEDULE = "schedule"
    SENDING = "sending"
    SENT = "sent"
    CANCELED = "canceled"
    CANCELING = "canceling"
    ARCHIVED = "archived"


LISTABLE = frozenset({"save", "paused", "schedule", "sending", "sent"})
"""The statuses that GET /campaigns filters by."""

_STARTED = frozenset({CampaignStatus.SENDING, CampaignStatus.SENT})


class Figures(BaseModel):
    """The figures of a report. The proxy_excluded figures are None for e-mail from before Mailchimp counted them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    emails_sent: int = Field(default=0, ge=0)
    opens: int = Field(default=0, ge=0)
    unique_opens: int = Field(default=0, ge=0)
    clicks: int = Field(default=0, ge=0)
    unique_clicks: int = Field(default=0, ge=0)
    subscriber_clicks: int = Field(default=0, ge=0)
    hard_bounces: int = Field(default=0, ge=0)
    soft_bounces: int = Field(default=0, ge=0)
    unsubscribed: int = Field(default=0, ge=0)
    abuse_reports: int = Field(default=0, ge=0)
    proxy_excluded_opens: int | None = None
    proxy_excluded_unique_opens: int | None = None

    @property
    def open_rate(self) -> float:
        """Unique opens divided by successful deliveries."""
        return self._share(self.unique_opens)

    @property
    def click_rate(self) -> float:
        """Subscribers with a click, divided by successful deliveries."""
        return self._share(self.subscriber_clicks or self.unique_clicks)

    @property
    def proxy_excluded_open_rate(self) -> float:
        """Unique opens without privacy proxies, divided by successful deliveries."""
        return self._share(self.proxy_excluded_unique_opens or 0)

    def _share(self, count: int) -> float:
        delivered = self.emails_sent - self.hard_bounces - self.soft_bounces
        return count / delivered if delivered > 0 else 0.0


@dataclass(slots=True)
class Campaign:
    """One campaign for one audience."""

    id: str
    web_id: int
    list_id: str
    title: str
    subject_line: str
    created_at: datetime
    kind: str = "regular"
    from_name: str = "Acme"
    status: CampaignStatus = CampaignStatus.SAVE
    send_time: datetime | None = None
    figures: Figures = field(default_factory=Figures)

    def move(self, status: CampaignStatus, now: datetime, send_time: datetime | None = None) -> None:
        """Set the status. A campaign that starts sending gets the current time as `send_time` by default."""
        self.status = status
        if send_time is not None:
            self.send_time = send_time
        elif status is CampaignStatus.SAVE:
            self.send_time = None
        elif status in _STARTED and (self.send_time is None or self.send_time > now):
            self.send_time = now

    def was_sent(self, now: datetime) -> bool:
        """Return whether sending has started, so that a report exists."""
        if self.status in {CampaignStatus.SAVE, CampaignStatus.SCHEDULE}:
            return False
        return self.send_time is not None and self.send_time <= now
