"""The database as a refresh of campaigns needs it: the port `runs.campaign_refresh.CampaignRecords`, and what is due.

What does not belong here: statements, which stand in the stores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from mailchimp_pipeline.campaigns import Campaign, Refresh, Stats
from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.campaigns import CampaignStore, due_campaigns, histories
from mailchimp_pipeline.database.session import Database, StatementRefused
from mailchimp_pipeline.runs.campaigns import CampaignResult


@dataclass(frozen=True, slots=True)
class DatabaseCampaignRecords:
    """`runs.campaign_refresh.CampaignRecords` over PostgreSQL."""

    database: Database
    clock: Clock

    def due(self, *, settling_since: datetime) -> Sequence[Campaign]:
        """Return the campaigns of connected organisations whose figures may still move."""
        with self.database.everyone() as session:
            return due_campaigns(session, settling_since=settling_since)

    def write(self, refreshes: Sequence[tuple[Campaign, Refresh]]) -> Mapping[str, CampaignResult]:
        """Write down what was found of one organisation's campaigns, in one transaction."""
        if not refreshes:
            return {}
        written: dict[str, CampaignResult] = {}
        with self.database.organisation(refreshes[0][0].organisation_id) as session:
            store = CampaignStore(session)
            for campaign, refresh in refreshes:
                try:
                    # A statement that PostgreSQL refuses undoes this campaign's part of the transaction alone.
                    with self.database.explained(), session.begin_nested():
                        after = store.write(campaign.id, refresh, by=audit.PIPELINE, at=self.clock())
                except StatementRefused as refused:
                    written[campaign.id] = CampaignResult(
                        campaign, f"It could not be written down. {refused}", is_refreshed=False
                    )
                else:
                    written |= {campaign.id: CampaignResult(after, refresh.problem)} if after else {}
        return written

    def histories(self, campaigns: Sequence[Campaign], *, latest: int) -> Mapping[str, Sequence[Stats]]:
        """Return the campaigns' latest figures by our ids."""
        with self.database.everyone() as session:
            return histories(session, [campaign.id for campaign in campaigns], latest=latest)
