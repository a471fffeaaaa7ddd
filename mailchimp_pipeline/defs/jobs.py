"""The jobs. Each runs in one process, because the work mostly waits for the network."""

# The types of Dagster's decorators and job factories are partly unknown.
# pyright: reportUnknownMemberType=false

import dagster as dg

from mailchimp_pipeline.defs.asset_checks import RUN_CHECKS

# Without the check `segments_are_synced_by_six`, which has its own job.
_SYNCED = dg.AssetSelection.assets("segment_membership", "audience_sync").without_checks() | dg.AssetSelection.checks(
    *(check.key for check in RUN_CHECKS)
)

scheduled_sync = dg.define_asset_job(
    "mailchimp_scheduled_sync",
    selection=_SYNCED,
    executor_def=dg.in_process_executor,
    description="Syncs every segment of every connected organisation, many segments a run. Daily at 05:00 UTC.",
)

segment_sync = dg.define_asset_job(
    "mailchimp_segment_sync",
    selection=_SYNCED,
    executor_def=dg.in_process_executor,
    description="Syncs the segments of one organisation that somebody asked for. The sensor `sync_requests` starts it.",
)

freshness = dg.define_asset_job(
    "mailchimp_freshness",
    selection=dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey("audience_sync"), "segments_are_synced_by_six")),
    executor_def=dg.in_process_executor,
    description="Looks whether the morning's sync reached every segment. Daily at 06:00 UTC.",
)

JOBS = [scheduled_sync, segment_sync, freshness]
