"""Control operations on campaigns: create them, change their status and set their report."""

from datetime import datetime

from sandbox.control.operations import Operations
from sandbox.model.campaigns import Campaign, CampaignStatus, Figures
from sandbox.model.members import Actor
from sandbox.model.webhooks import WebhookEvent


class CampaignControls(Operations):
    """Create and change campaigns. The sandbox's API only reads campaigns."""

    def add_campaign(
        self,
        list_id: str,
        title: str = "News",
        subject_line: str = "What is new",
        campaign_id: str | None = None,
        created_at: datetime | None = None,
    ) -> str:
        """Create a draft campaign and return its id."""
        with self._state.lock:
            chosen, web_id = campaign_id or self._state.new_id(), self._state.new_web_id()
            made_at = created_at or self._state.now()
            campaign = Campaign(chosen, web_id, list_id, title, subject_line, made_at)
            self._state.add_campaign(self._state.owner(list_id), campaign)
            return chosen

    def move_campaign(self, campaign_id: str, status: CampaignStatus, send_time: datetime | None = None) -> None:
        """Set a campaign's status. A change to `sent` triggers the campaign webhooks."""
        with self._state.lock:
            campaign, now = self._state.campaign(campaign_id), self._state.now()
            was_sent = campaign.status is CampaignStatus.SENT
            campaign.move(status, now, send_time)
            if status is CampaignStatus.SENT and not was_sent:
                webhooks = self._state.audience(campaign.list_id).webhooks
                webhooks.publish(_sent(campaign, now))

    def set_figures(self, campaign_id: str, figures: Figures) -> None:
        """Set the figures of a campaign's report."""
        with self._state.lock:
            self._state.campaign(campaign_id).figures = figures

    def delete_campaign(self, campaign_id: str) -> None:
        """Delete a campaign with its report."""
        with self._state.lock:
            self._state.remove_campaign(campaign_id)


def _sent(campaign: Campaign, now: datetime) -> WebhookEvent:
    data = [
        ("id", campaign.id),
        ("subject", campaign.subject_line),
        ("status", campaign.status.value),
        ("reason", ""),
        ("list_id", campaign.list_id),
    ]
    return WebhookEvent("campaign", Actor.ADMIN, now, data)
