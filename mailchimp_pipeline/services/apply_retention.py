"""Delete sync requests and snapshots of campaign figures that are older than their retention period.

The audit log is never deleted.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from mailchimp_pipeline.clock import Clock, utc_now
from mailchimp_pipeline.database.campaign_store import CampaignStore, organisations_with_old_stats
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.sync_request_store import SyncRequestStore, organisations_with_ended_requests
from mailchimp_pipeline.services.resources import Resources, open_resources
from mailchimp_pipeline.settings import Settings

ROWS_PER_TRANSACTION = 1000
"""The maximum number of rows that one transaction deletes, so that rows are locked only briefly."""


@dataclass(frozen=True, slots=True)
class RetentionCounts:
    """How many sync requests and snapshots of campaign figures were deleted."""

    sync_requests: int
    campaign_stats: int


@contextmanager
def open_retention(settings: Settings | None = None) -> Generator["ApplyRetention"]:
    """Yield an `ApplyRetention` for the settings (by default the environment's). Close its resources at the end."""
    with open_resources(settings) as resources:
        yield apply_retention(resources)


def apply_retention(resources: Resources, clock: Clock = utc_now) -> "ApplyRetention":
    """Return an `ApplyRetention` with these resources. Their settings have the retention periods."""
    settings = resources.settings
    return ApplyRetention(
        resources.database,
        clock,
        dagster_runs=timedelta(days=settings.dagster_run_retention_days),
        sync_requests=timedelta(days=settings.sync_request_retention_days),
        campaign_stats=timedelta(days=settings.campaign_stats_retention_days),
    )


@dataclass(frozen=True, slots=True)
class ApplyRetention:
    """Deletes rows that are older than their retention period, in the tables of all organisations.

    `dagster_runs`, `sync_requests` and `campaign_stats` are the retention periods.
    """

    database: Database
    clock: Clock
    dagster_runs: timedelta
    sync_requests: timedelta
    campaign_stats: timedelta
    rows_per_transaction: int = ROWS_PER_TRANSACTION

    def dagster_runs_before(self) -> datetime:
        """Return the time before which a Dagster run must have ended to be deleted."""
        return self.clock() - self.dagster_runs

    def delete_rows(self) -> RetentionCounts:
        """Delete old sync requests and campaign figures of every organisation. Return how many of each were deleted.

        Each transaction is short. Requests that are waiting or running stay, and so does the latest snapshot of each
        campaign. It is safe to call this again after a failure.
        """
        now = self.clock()
        ended_before, refreshed_before = now - self.sync_requests, now - self.campaign_stats
        limit = self.rows_per_transaction
        return RetentionCounts(
            sync_requests=self._delete(
                lambda session: organisations_with_ended_requests(session, ended_before),
                lambda session: SyncRequestStore(session).delete_ended(ended_before, limit=limit),
            ),
            campaign_stats=self._delete(
                lambda session: organisations_with_old_stats(session, refreshed_before),
                lambda session: CampaignStore(session).delete_stats(refreshed_before, limit=limit),
            ),
        )

    def _delete(
        self,
        organisations: Callable[[Session], Sequence[str]],
        delete_some: Callable[[OrganisationSession], int],
    ) -> int:
        with self.database.everyone() as session:
            organisation_ids = organisations(session)
        total = 0
        for organisation_id in organisation_ids:
            deleted = self.rows_per_transaction
            while deleted == self.rows_per_transaction:
                with self.database.organisation(organisation_id) as session:
                    deleted = delete_some(session)
                total += deleted
        return total
