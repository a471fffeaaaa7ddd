"""The tables of tracked campaigns and of their figures.

What does not belong here: calls to Mailchimp (`mailchimp`), rules of a refresh (`mailchimp_pipeline.campaigns`).
"""

from mailchimp_pipeline.database.campaigns.overview import due_campaigns, histories, organisations_with_old_stats
from mailchimp_pipeline.database.campaigns.store import CampaignStore

__all__ = ["CampaignStore", "due_campaigns", "histories", "organisations_with_old_stats"]
