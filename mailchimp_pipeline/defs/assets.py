"""The assets: the observed sources `employees` and `vendors`, `segment_membership` and `audience_sync`."""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from mailchimp_pipeline.defs.asset_checks import RUN_CHECKS, run_checks
from mailchimp_pipeline.defs.metadata import (
    Metadata,
    failure_metadata,
    membership_metadata,
    segment_label,
    sync_metadata,
)
from mailchimp_pipeline.defs.pipeline_resources import Pipeline
from mailchimp_pipeline.defs.sync_runs import SEGMENTS, STEP, SyncConfig, show_as_failed, trigger_of
from mailchimp_pipeline.errors import PipelineError

if TYPE_CHECKING:
    from mailchimp_pipeline.sync.segment_results import SegmentResult

SEGMENTS_PER_RUN = 250
"""The maximum number of segments in a run. An organisation with more segments is still one run."""

MEMBERSHIP = dg.AssetKey("segment_membership")
AUDIENCE = dg.AssetKey("audience_sync")

# Parents first, because Dagster shows an asset that is materialized before its parent as outdated.
_METADATA: dict[dg.AssetKey, "Callable[[SegmentResult], Metadata]"] = {
    MEMBERSHIP: membership_metadata,
    AUDIENCE: sync_metadata,
}


SOURCES = [
    dg.AssetSpec(
        "employees",
        group_name="sources",
        description="The employees of all organisations, as HR has them. Read, never written; observed by each run.",
    ),
    dg.AssetSpec(
        "vendors",
        group_name="sources",
        description="The vendors of all organisations. Read, never written; observed by each run.",
    ),
]


@dg.multi_asset(
    name=STEP,
    group_name="audiences",
    partitions_def=SEGMENTS,
    backfill_policy=dg.BackfillPolicy.multi_run(max_partitions_per_run=SEGMENTS_PER_RUN),
    can_subset=True,
    specs=[
        dg.AssetSpec(
            MEMBERSHIP,
            deps=["employees", "vendors"],
            skippable=True,
            description=(
                "The members of each segment, from the sources and the consent of each contact; in the table "
                "`segment_members`. Materialized alone it sends nothing. Failed? The error names the source or the "
                "row to correct; the previous members stay."
            ),
        ),
        dg.AssetSpec(
            AUDIENCE,
            deps=[MEMBERSHIP],
            skippable=True,
            description=(
                "The members of each segment's audience at Mailchimp, sent in batches; in the table "
                "`audience_members`. Failed? The segment's error says what to do; what was sent is kept, and the next "
                "sync goes on from there. It is always safe to run it again."
            ),
        ),
    ],
    check_specs=RUN_CHECKS,
)
def sync_segments(
    context: dg.AssetExecutionContext, config: SyncConfig, pipeline: dg.ResourceParam[Pipeline]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Sync the run's segments. If a segment fails, the others continue, and the step fails at the end."""
    keys = _keys(context, config)
    selected = context.op_execution_context.selected_asset_keys
    assets = [asset for asset in _METADATA if asset in selected]
    results: list[SegmentResult] = []
    with pipeline.hold_run_lock(context.run.run_id):
        _observe(context, pipeline)
        for result in pipeline.sync(
            keys,
            run_id=context.run.run_id,
            trigger=trigger_of(context.run),
            push=AUDIENCE in assets,
            request_ids=config.requests,
        ):
            _log_result(context, result, assets)
            results.append(result)
    if passed_over := len(keys) - len(results):
        context.log.info("%d of the segments were deleted, or their organisation disconnected.", passed_over)
    yield from run_checks(pipeline, context.op_execution_context.selected_asset_check_keys)
    failed = [result for result in results if result.error]
    if failed:
        raise dg.Failure(_summary(failed, of=len(results)), metadata=failure_metadata(failed), allow_retries=False)


def _keys(context: dg.AssetExecutionContext, config: SyncConfig) -> Sequence[str]:
    if config.segments:
        return config.segments
    if context.has_partition_key or context.has_partition_key_range:
        return context.partition_keys
    raise dg.Failure(
        "This run has no segments to sync. Choose partitions when you start it in Dagster's UI, or run "
        "`mailchimp-pipeline sync --organisation ID`.",
        allow_retries=False,
    )


def _log_result(context: dg.AssetExecutionContext, result: "SegmentResult", assets: Sequence[dg.AssetKey]) -> None:
    """Write a segment's events right after its sync, so that they are kept if the run is killed later."""
    key = result.segment.partition_key
    if result.error:
        context.log.error("Segment %s: %s", key, result.error)
        if result.defect:
            context.log.error("Segment %s: raised at\n%s", key, result.defect)
        for asset in assets:
            show_as_failed(context.instance, context.run, asset, key)
        return
    for asset in assets:
        context.log_event(dg.AssetMaterialization(asset, partition=key, metadata=_METADATA[asset](result)))


def _summary(failed: "Sequence[SegmentResult]", *, of: int) -> str:
    first = failed[0]
    rest = f" (and {len(failed) - 1} more, see the table)" if len(failed) > 1 else ""
    return f"{len(failed)} of {of} segments failed. {segment_label(first.segment)}: {first.error}{rest}"


def _observe(context: dg.AssetExecutionContext, pipeline: Pipeline) -> None:
    for asset, relation in (("employees", "employee"), ("vendors", "vendor")):
        try:
            version = pipeline.describe(relation)
        # A warning only: segments that need the relation fail with the same error.
        except PipelineError as error:
            context.log.warning("The %s could not be observed: %s", asset, error)
            continue
        except Exception as error:  # noqa: BLE001 - only its class is logged, its text may quote data
            context.log.warning("The %s could not be observed: unexpected %s", asset, type(error).__name__)
            continue
        tags = {"dagster/data_version": version.version}
        context.log_event(dg.AssetObservation(asset, metadata={"rows": version.rows}, tags=tags))


ASSETS = [*SOURCES, sync_segments]
