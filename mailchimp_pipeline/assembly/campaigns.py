"""The campaigns behind Dagster, over the parts."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mailchimp_pipeline.assembly.parts import Parts, open_parts
from mailchimp_pipeline.campaigns import Campaign, Stats, settling_since
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.campaign_records import DatabaseCampaignRecords
from mailchimp_pipeline.runs.campaign_refresh import CampaignRefresh
from mailchimp_pipeline.runs.campaigns import OrganisationRefresh
from mailchimp_pipeline.settings import Settings


@contextmanager
def open_campaigns(settings: Settings | None = None) -> Generator["DatabaseCampaigns"]:
    """Yield the campaigns behind Dagster, and close their parts."""
    with open_parts(settings) as parts:
        yield DatabaseCampaigns(parts)


@dataclass(frozen=True, slots=True)
class DatabaseCampaigns:
    """`runs.campaigns.CampaignPipeline` over the database and Mailchimp."""

    parts: Parts
    clock: Clock = utc_now

    def refresh(self) -> Iterator[OrganisationRefresh]:
        """Refresh the campaigns that still move, of all connected organisations."""
        since = settling_since(self.clock(), self.parts.settings.campaign_settle_days)
        due = self._records.due(settling_since=since)
        return CampaignRefresh(self._records, self.parts.audiences, self.clock).results(due)

    def histories(self, campaigns: Sequence[Campaign], *, latest: int) -> Mapping[str, Sequence[Stats]]:
        """Return the campaigns' latest figures by our ids."""
        return self._records.histories(campaigns, latest=latest)

    @property
    def _records(self) -> DatabaseCampaignRecords:
        return DatabaseCampaignRecords(self.parts.database, self.clock)
