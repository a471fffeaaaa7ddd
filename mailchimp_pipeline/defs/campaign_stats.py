"""Campaigns in Dagster: the asset `campaign_stats`, its check, and the job and schedule of the refresh."""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from structlog.contextvars import bound_contextvars

from mailchimp_pipeline.defs.metadata import failures_metadata, plotted, refresh_metadata
from mailchimp_pipeline.defs.pipeline_resources import CampaignRefresh
from mailchimp_pipeline.logs import logger

if TYPE_CHECKING:
    from mailchimp_pipeline.services.refresh_campaigns import OrganisationRefresh

POINTS_PLOTTED = 60
"""The number of refreshes in a plot: about a fortnight."""

_log = logger("mailchimp_pipeline.campaigns")

_FRESH = dg.AssetCheckSpec(
    "campaigns_are_fresh",
    asset="campaign_stats",
    description=(
        "Every tracked campaign that still moves was refreshed. The metadata name what was not, and what to do; "
        "its last figures are kept."
    ),
)


@dg.asset(
    name="campaign_stats",
    group_name="campaigns",
    check_specs=[_FRESH],
    description=(
        "Statuses, opens and clicks of the tracked campaigns, as Mailchimp counts them; in the tables "
        "`campaign_tracking` (the latest) and `campaign_stats` (the history). Campaigns that were sent or cancelled "
        "stay as they are; those deleted or archived at Mailchimp too. Did the check fail? The rest is fresh: it names "
        "what is not. It is always safe to run it again."
    ),
)
def campaign_stats(
    context: dg.AssetExecutionContext, campaigns: dg.ResourceParam[CampaignRefresh]
) -> Iterator[dg.MaterializeResult[Any]]:
    """Refresh the campaigns whose figures may still change. Yield the materialization with the check's result."""
    refreshes: list[OrganisationRefresh] = []
    with bound_contextvars(run_id=context.run.run_id):
        for refresh in campaigns.refresh():
            _log_refresh(context, refresh)
            refreshes.append(refresh)
    histories = campaigns.histories(plotted(refreshes), latest=POINTS_PLOTTED)
    yield dg.MaterializeResult(metadata=refresh_metadata(refreshes, histories), check_results=[_judged(refreshes)])


def _log_refresh(context: dg.AssetExecutionContext, refresh: "OrganisationRefresh") -> None:
    for campaign, error in refresh.failures.items():
        context.log.error("Campaign %s of organisation %s: %s", campaign, refresh.organisation_id, error)
    if refresh.defect:
        context.log.error("Organisation %s: raised at\n%s", refresh.organisation_id, refresh.defect)
    failed = len(refresh.campaigns) if refresh.error else len(refresh.failures)
    _log.info("campaigns", organisation_id=refresh.organisation_id, refreshed=len(refresh.refreshed), failed=failed)


def _judged(refreshes: "Sequence[OrganisationRefresh]") -> dg.AssetCheckResult:
    failed = [refresh for refresh in refreshes if refresh.failures]
    return dg.AssetCheckResult(passed=not failed, check_name=_FRESH.name, metadata=failures_metadata(failed))


campaign_stats_refresh = dg.define_asset_job(
    "mailchimp_campaign_stats_refresh",
    selection=dg.AssetSelection.assets("campaign_stats"),
    executor_def=dg.in_process_executor,
    description="Refreshes the figures of all tracked campaigns that still move. Every six hours.",
)

six_hourly_refresh = dg.ScheduleDefinition(
    name="mailchimp_campaign_stats_refresh",
    job=campaign_stats_refresh,
    cron_schedule="0 */6 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Refreshes the figures of all tracked campaigns that still move.",
)
