"""The claims that hold of the assets, and how a run is judged by them.

What does not belong here: the rules themselves, which act before a check can (`runs`, `segments`).
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from mailchimp_pipeline.runs.pipeline import Pipeline
from mailchimp_pipeline.runs.results import SegmentResult
from mailchimp_pipeline.sync.rejections import MOST_REJECTED

RUN_CHECKS = [
    dg.AssetCheckSpec(
        "membership_honours_consent",
        asset="segment_membership",
        description="No member opted out or was erased. A segment where one did is not sent.",
        # Dagster holds other assets back by it; within this step each segment is, before its push (`runs`).
        blocking=True,
    ),
    dg.AssetCheckSpec(
        "membership_did_not_collapse",
        asset="segment_membership",
        description="No segment would lose more than half of its members at once. One that would keeps them all.",
    ),
    dg.AssetCheckSpec(
        "refusals_are_few",
        asset="audience_sync",
        description=f"Mailchimp accepted all but {MOST_REJECTED:.0%} of the members, in every segment.",
    ),
]


def run_checks(
    results: Sequence[SegmentResult], selected: Collection[dg.AssetCheckKey]
) -> Iterator[dg.AssetCheckResult]:
    """Judge a run by the checks selected; the metadata name the segments that fail."""
    failing = {
        "membership_honours_consent": [_key(result) for result in results if result.violations],
        "membership_did_not_collapse": [_key(result) for result in results if result.departures_stopped],
        "refusals_are_few": [_key(result) for result in results if _rejected_too_many(result)],
    }
    for check in RUN_CHECKS:
        if check.key in selected:
            yield _judged(check, failing[check.name], of=len(results))


@dg.asset_check(
    asset="audience_sync",
    name="segments_are_synced_by_six",
    description="Every segment was synced since 05:00 UTC. Asked at 06:00 UTC.",
)
def segments_are_synced_by_six(pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
    """Name the segments that the morning's sync did not reach or could not finish."""
    late = [segment.partition_key for segment in pipeline.not_synced_since(last_five(pipeline.now()))]
    return dg.AssetCheckResult(passed=not late, metadata=_named(late), severity=dg.AssetCheckSeverity.ERROR)


def last_five(now: datetime) -> datetime:
    """Return the last 05:00 UTC that has passed."""
    five = now.astimezone(UTC).replace(hour=5, minute=0, second=0, microsecond=0)
    return five if five <= now else five - timedelta(days=1)


def _rejected_too_many(result: SegmentResult) -> bool:
    return result.report is not None and result.report.rejected_share > MOST_REJECTED


def _judged(check: dg.AssetCheckSpec, failing: Sequence[str], *, of: int) -> dg.AssetCheckResult:
    metadata = {"segments": dg.MetadataValue.int(of), **_named(failing)}
    return dg.AssetCheckResult(passed=not failing, asset_key=check.asset_key, check_name=check.name, metadata=metadata)


def _key(result: SegmentResult) -> str:
    return result.segment.partition_key


def _named(keys: Sequence[str]) -> dict[str, dg.MetadataValue]:
    return {"failing": dg.MetadataValue.json(list(keys))}
