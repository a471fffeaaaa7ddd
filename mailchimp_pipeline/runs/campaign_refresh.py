"""A refresh of campaigns: organisations side by side, each account asked in pages, each ending by itself.

What does not belong here: which campaigns are due (`database`), what a refresh changes (`campaigns`).
"""

import traceback
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Protocol

from mailchimp_pipeline.campaigns import Campaign, MailchimpCampaigns, Refresh, fetch_snapshots, refresh
from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.runs.campaigns import CampaignResult, OrganisationRefresh
from mailchimp_pipeline.tracing import carried, working_for

ORGANISATIONS_AT_ONCE = 8


class CampaignRecords(Protocol):
    """The database, as a refresh needs it."""

    def write(self, refreshes: Sequence[tuple[Campaign, Refresh]]) -> Mapping[str, CampaignResult]:
        """Write down what was found of one organisation's campaigns; return by our ids what became of each.

        One that cannot be written down does not keep the others from it; one that is gone is left out.
        """
        ...


@dataclass(frozen=True, slots=True)
class CampaignRefresh:
    """The parts that a refresh works with. `account` returns an organisation's Mailchimp, by its id."""

    records: CampaignRecords
    account: Callable[[str], MailchimpCampaigns]
    clock: Clock

    def results(self, due: Iterable[Campaign]) -> Generator[OrganisationRefresh]:
        """Refresh the campaigns, and yield each organisation's result as soon as it is there.

        Whoever stops iterating lets those under way finish, and no others begin.
        """
        ordered = sorted(due, key=lambda campaign: (campaign.organisation_id, campaign.id))
        groups = [list(group) for _, group in groupby(ordered, key=lambda campaign: campaign.organisation_id)]
        with ThreadPoolExecutor(ORGANISATIONS_AT_ONCE, thread_name_prefix="organisation") as pool:
            try:
                for done in as_completed([pool.submit(carried(self._organisation), group) for group in groups]):
                    yield done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _organisation(self, campaigns: Sequence[Campaign]) -> OrganisationRefresh:
        begun = self.clock()
        organisation_id = campaigns[0].organisation_id
        kept = tuple(map(CampaignResult, campaigns))
        try:
            with working_for(organisation_id=organisation_id):
                refreshed = self._refreshed(organisation_id, campaigns, begun)
        except PipelineError as error:
            return OrganisationRefresh(organisation_id, kept, self._seconds_since(begun), str(error))
        except Exception as error:  # noqa: BLE001 - reported as this organisation's failure, never passed over
            where = "".join(traceback.format_tb(error.__traceback__))
            said = f"Unforeseen {type(error).__name__}; the run's log says where. Please report it."
            return OrganisationRefresh(organisation_id, kept, self._seconds_since(begun), said, where)
        return OrganisationRefresh(organisation_id, refreshed, self._seconds_since(begun))

    def _refreshed(
        self, organisation_id: str, campaigns: Sequence[Campaign], begun: datetime
    ) -> tuple[CampaignResult, ...]:
        ids = {campaign.mailchimp_campaign_id for campaign in campaigns}
        found = fetch_snapshots(self.account(organisation_id), ids)
        failed = {
            campaign.id: CampaignResult(campaign, str(error), is_refreshed=False)
            for campaign in campaigns
            if (error := found.failed.get(campaign.mailchimp_campaign_id))
        }
        refreshes = [
            (campaign, refresh(campaign.status, found.seen.get(campaign.mailchimp_campaign_id), begun))
            for campaign in campaigns
            if campaign.id not in failed
        ]
        results = {**self.records.write(refreshes), **failed}
        return tuple(results[campaign.id] for campaign in campaigns if campaign.id in results)

    def _seconds_since(self, begun: datetime) -> float:
        return (self.clock() - begun).total_seconds()
