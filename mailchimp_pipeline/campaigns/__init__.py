"""Campaigns: what Mailchimp says about them, and how a refresh changes the tracked campaigns.

Campaigns are read only through the port `MailchimpCampaigns`. What does not belong here: HTTP (`mailchimp`), SQL
(`database`), refreshing all organisations (`services`).
"""

from mailchimp_pipeline.campaigns.plot import counts_plot, rates_plot, rates_text
from mailchimp_pipeline.campaigns.snapshots import (
    CampaignSnapshot,
    MailchimpCampaign,
    MailchimpCampaigns,
    MailchimpReport,
    fetch_snapshots,
)
from mailchimp_pipeline.campaigns.tracked_campaign import (
    FINAL,
    Campaign,
    CampaignStatus,
    Figures,
    Refresh,
    Stats,
    campaign_status,
    refresh,
    settling_since,
)

__all__ = [
    "FINAL",
    "Campaign",
    "CampaignSnapshot",
    "CampaignStatus",
    "Figures",
    "MailchimpCampaign",
    "MailchimpCampaigns",
    "MailchimpReport",
    "Refresh",
    "Stats",
    "campaign_status",
    "counts_plot",
    "fetch_snapshots",
    "rates_plot",
    "rates_text",
    "refresh",
    "settling_since",
]
