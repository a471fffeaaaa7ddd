"""Tracked campaigns as they are stored: what people track and look at, and what refreshes write down of them.

What does not belong here: what Mailchimp says (`mailchimp`), what it means (`mailchimp_pipeline.campaigns`).
"""

from mailchimp_pipeline.database.campaigns.overview import due_campaigns, histories, organisations_with_old_stats
from mailchimp_pipeline.database.campaigns.store import CampaignStore

__all__ = ["CampaignStore", "due_campaigns", "histories", "organisations_with_old_stats"]
