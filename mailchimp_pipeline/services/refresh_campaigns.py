"""Refresh the tracked campaigns of all organisations, several organisations in parallel."""

import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from structlog.contextvars import bound_contextvars

from mailchimp_pipeline.campaigns import (
    Campaign,
    MailchimpCampaigns,
    Refresh,
    Stats,
    fetch_snapshots,
    refresh,
    settling_since,
)
from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.campaign_store import CampaignStore, due_campaigns, histories
from mailchimp_pipeline.database.session import Database, StatementRefused
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings

ORGANISATIONS_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class CampaignResult:
    """A campaign after the attempt to refresh it. `error` is a problem for users, without personal data.

    `is_refreshed` is false if the call to Mailchimp failed, or if PostgreSQL refused the change. A campaign that was
    refreshed may have an `error` too, such as an unknown status.
    """

    campaign: Campaign
    error: str | None = None
    is_refreshed: bool = True


@dataclass(frozen=True, slots=True)
class OrganisationRefresh:
    """The results of refreshing one organisation's campaigns. If there is an `error`, none was refreshed."""

    organisation_id: str
    campaigns: tuple[CampaignResult, ...]
    seconds: float = 0.0
    error: str | None = None
    defect: str | None = None
    """The stack of an unexpected error, without the error's text, which may contain personal data."""

    @property
    def refreshed(self) -> Sequence[Campaign]:
        """The campaigns that were refreshed, with their new status and figures."""
        return [] if self.error else [result.campaign for result in self.campaigns if result.is_refreshed]

    @property
    def failures(self) -> Mapping[str, str]:
        """The error messages by Mailchimp's campaign id. If all campaigns failed together, the only key is `*`."""
        if self.error:
            return {"*": self.error}
        return {result.campaign.mailchimp_campaign_id: result.error for result in self.campaigns if result.error}


@contextmanager
def open_campaigns(settings: Settings | None = None) -> Generator["CampaignRefresh"]:
    """Yield a `CampaignRefresh` for the settings (by default the environment's). Close its resources at the end."""
    with open_resources(settings) as resources:
        yield campaign_refresh(resources)


def campaign_refresh(resources: Resources, clock: Clock = utc_now) -> "CampaignRefresh":
    """Return a `CampaignRefresh` with these resources."""
    settle_days = resources.settings.campaign_settle_days
    return CampaignRefresh(resources.database, resources.audiences, clock, settle_days)


@dataclass(frozen=True, slots=True)
class CampaignRefresh:
    """Reads the status and figures of tracked campaigns from Mailchimp, and stores them.

    `account` returns the Mailchimp account of the organisation with the given id. A campaign is refreshed until
    `settle_days` after it was sent. Then its figures are final.
    """

    database: Database
    account: Callable[[str], MailchimpCampaigns]
    clock: Clock
    settle_days: int = 0

    def refresh(self) -> Iterator[OrganisationRefresh]:
        """Refresh the campaigns of connected organisations that are due: those whose figures may still change.

        Yield each organisation's result once it is complete.
        """
        since = settling_since(self.clock(), self.settle_days)
        with self.database.everyone() as session:
            due = due_campaigns(session, settling_since=since)
        return self.results(due)

    def results(self, due: Iterable[Campaign]) -> Generator[OrganisationRefresh]:
        """Refresh the campaigns `due`. Yield each organisation's result once it is complete.

        When the iterator is closed, organisations that have begun are finished, and no others begin.
        """
        ordered = sorted(due, key=lambda campaign: (campaign.organisation_id, campaign.id))
        groups = [list(group) for _, group in groupby(ordered, key=lambda campaign: campaign.organisation_id)]
        with ThreadPoolExecutor(ORGANISATIONS_AT_ONCE, thread_name_prefix="organisation") as pool:
            try:
                for done in as_completed(
                    [pool.submit(copy_context().run, self._organisation, group) for group in groups]
                ):
                    yield done.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def histories(self, campaigns: Sequence[Campaign], *, latest: int) -> Mapping[str, Sequence[Stats]]:
        """Return the last `latest` figures of each campaign by campaign id, oldest first.

        Campaigns without figures are left out.
        """
        with self.database.everyone() as session:
            return histories(session, [campaign.id for campaign in campaigns], latest=latest)

    def write(self, refreshes: Sequence[tuple[Campaign, Refresh]]) -> Mapping[str, CampaignResult]:
        """Store what was read about one organisation's campaigns in one transaction. Return the results by campaign id.

        If PostgreSQL refuses one campaign, the others are stored. Campaigns that are no longer tracked are left out.
        """
        if not refreshes:
            return {}
        written: dict[str, CampaignResult] = {}
        with self.database.organisation(refreshes[0][0].organisation_id) as session:
            store = CampaignStore(session)
            for campaign, found in refreshes:
                try:
                    # The savepoint limits a refused statement to this campaign.
                    with self.database.translated_errors(), session.begin_nested():
                        after = store.write(campaign.id, found, by=audit_log.PIPELINE, at=self.clock())
                except StatementRefused as refused:
                    error = f"It could not be stored. {refused}"
                    written[campaign.id] = CampaignResult(campaign, error, is_refreshed=False)
                else:
                    written |= {campaign.id: CampaignResult(after, found.problem)} if after else {}
        return written

    def _organisation(self, campaigns: Sequence[Campaign]) -> OrganisationRefresh:
        begun = self.clock()
        organisation_id = campaigns[0].organisation_id
        unchanged = tuple(map(CampaignResult, campaigns))
        try:
            with bound_contextvars(organisation_id=organisation_id):
                refreshed = self._refreshed(organisation_id, campaigns, begun)
        except PipelineError as error:
            return OrganisationRefresh(organisation_id, unchanged, self._seconds_since(begun), str(error))
        except Exception as error:  # noqa: BLE001 - reported as this organisation's failure
            stack = "".join(traceback.format_tb(error.__traceback__))
            text = f"Unexpected {type(error).__name__}; the run's log has the stack. Please report it."
            return OrganisationRefresh(organisation_id, unchanged, self._seconds_since(begun), text, stack)
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
        results = {**self.write(refreshes), **failed}
        return tuple(results[campaign.id] for campaign in campaigns if campaign.id in results)

    def _seconds_since(self, begun: datetime) -> float:
        return (self.clock() - begun).total_seconds()
