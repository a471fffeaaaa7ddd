"""The asset checks. A check covers all live segments, not only those of the run."""

from collections.abc import Collection, Iterator

import dagster as dg

from mailchimp_pipeline.clock import last_daily_sync
from mailchimp_pipeline.defs.metadata import segments_table
from mailchimp_pipeline.defs.pipeline_resources import Pipeline
from mailchimp_pipeline.sync.rejections import MOST_REJECTED

RUN_CHECKS = [
    dg.AssetCheckSpec(
        "membership_honours_consent",
        asset="segment_membership",
        description=(
            "The last sync of no segment was stopped because a member opted out or was erased. Such a segment is not "
            "sent."
        ),
        # Blocks downstream assets in Dagster. Within this step, `services.sync_segments` stops each segment before its
        # push.
        blocking=True,
    ),
    dg.AssetCheckSpec(
        "membership_did_not_collapse",
        asset="segment_membership",
        description=(
            "The last sync of no segment was stopped because more than half of its members would leave at once, or "
            "because the source holds nobody of the organisation. Such a segment keeps its members."
        ),
    ),
    dg.AssetCheckSpec(
        "refusals_are_few",
        asset="audience_sync",
        description=f"Mailchimp accepted all but {MOST_REJECTED:.0%} of the members of each segment.",
    ),
]


def run_checks(pipeline: Pipeline, selected: Collection[dg.AssetCheckKey]) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the evaluations of the selected checks. Their metadata list the failing segments."""
    # Not `AssetCheckResult`, to which Dagster 1.13 adds the run's partition, and most runs have none.
    segments = pipeline.checked_segments()
    failing = {
        "membership_honours_consent": segments.against_consent,
        "membership_did_not_collapse": segments.collapsed,
        "refusals_are_few": segments.rejected,
    }
    for check in RUN_CHECKS:
        if check.key in selected:
            yield dg.AssetCheckEvaluation(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=not failing[check.name],
                metadata={
                    "segments": dg.MetadataValue.int(segments.count),
                    "failing": segments_table(failing[check.name]),
                },
                blocking=check.blocking,
            )


@dg.asset_check(
    asset="audience_sync",
    name="segments_are_synced_by_six",
    description="Every segment was synced since 05:00 UTC. Asked at 06:00 UTC.",
)
def segments_are_synced_by_six(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
    """Check that every segment was synced since 05:00 UTC. The metadata list the segments that were not."""
    late = pipeline.not_synced_since(last_daily_sync(pipeline.now()))
    metadata = {"failing": segments_table(late)}
    return dg.AssetCheckResult(passed=not late, metadata=metadata, severity=dg.AssetCheckSeverity.ERROR)
