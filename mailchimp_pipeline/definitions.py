"""The code location that Dagster loads."""

from collections.abc import Mapping

import dagster as dg

from mailchimp_pipeline.defs.asset_checks import segments_are_synced_by_six
from mailchimp_pipeline.defs.assets import ASSETS
from mailchimp_pipeline.defs.campaign_stats import campaign_stats, campaign_stats_refresh, six_hourly_refresh
from mailchimp_pipeline.defs.jobs import JOBS
from mailchimp_pipeline.defs.pipeline_resources import (
    CampaignsResource,
    ErasuresResource,
    PipelineResource,
    RetentionResource,
)
from mailchimp_pipeline.defs.privacy_jobs import erasures_due, mailchimp_erasure, mailchimp_opt_outs, opt_outs_due
from mailchimp_pipeline.defs.retention import daily_retention, mailchimp_retention
from mailchimp_pipeline.defs.schedules import SCHEDULES
from mailchimp_pipeline.defs.sensors import SENSORS


def build_definitions(resources: Mapping[str, object]) -> dg.Definitions:
    """Return Dagster's definitions with these resources, each given as an object or as a Dagster resource.

    The keys of `resources` are `pipeline` (a `services.pipeline.Pipeline`), `campaigns` (a
    `services.refresh_campaigns.CampaignRefresh`), `erasures` (an `erasure.Erasures`) and `retention` (a
    `services.apply_retention.ApplyRetention`).
    """
    return dg.Definitions(
        assets=[*ASSETS, campaign_stats],
        asset_checks=[segments_are_synced_by_six],
        jobs=[*JOBS, campaign_stats_refresh, mailchimp_erasure, mailchimp_opt_outs, mailchimp_retention],
        schedules=[*SCHEDULES, six_hourly_refresh, daily_retention],
        sensors=[*SENSORS, erasures_due, opt_outs_due],
        resources=resources,
        executor=dg.in_process_executor,
    )


defs = build_definitions(
    {
        "pipeline": PipelineResource(),
        "campaigns": CampaignsResource(),
        "erasures": ErasuresResource(),
        "retention": RetentionResource(),
    }
)
