"""Retention in Dagster: the daily job that deletes old runs of Dagster and old rows of the pipeline's tables."""

# The types of Dagster's decorators and job factories are partly unknown.
# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg
from dagster import DagsterEventType

from mailchimp_pipeline.defs.assets import AUDIENCE, MEMBERSHIP
from mailchimp_pipeline.defs.pipeline_resources import ApplyRetention
from mailchimp_pipeline.defs.sync_runs import SEGMENTS

RUNS_A_DAY = 5000
"""The maximum number of Dagster runs that a run of this job deletes. Each deletion costs several SQL statements."""

_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]

_SLACK = timedelta(days=1)
"""The largest expected difference between the clocks of a run and of Dagster's storage."""

_EVENTS_A_QUERY = 500


@dataclass(frozen=True, slots=True)
class RunCounts:
    """The number of old Dagster runs that were deleted, kept or left.

    Runs are `kept` if Dagster shows their events as the last state of an asset. Runs beyond the daily maximum are
    `left` to the next day.
    """

    deleted: int
    kept: int
    left: int


def delete_runs(instance: dg.DagsterInstance, before: datetime, *, at_most: int = RUNS_A_DAY) -> RunCounts:
    """Delete Dagster runs that ended before `before`, with their events and logs: the oldest first, at most `at_most`.

    A run stays if Dagster shows its events as the last state of an asset or of a segment's partition.
    """
    old = instance.get_run_ids(dg.RunsFilter(statuses=_FINISHED, updated_before=before))
    shown = set(_runs_shown(instance, before)) if old else set[str]()
    to_delete = [run_id for run_id in reversed(old) if run_id not in shown]
    for run_id in to_delete[:at_most]:
        # The run comes last: if the process dies in between, the next day finds it again.
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
    deleted = min(len(to_delete), at_most)
    return RunCounts(deleted=deleted, kept=len(old) - len(to_delete), left=len(to_delete) - deleted)


def _runs_shown(instance: dg.DagsterInstance, before: datetime) -> Iterator[str]:
    """Yield the ids of runs with the last state of an asset or of a partition that exists.

    Some of these runs may have ended after `before`.
    """
    for asset in instance.get_asset_records():
        key = asset.asset_entry.asset_key
        if run_id := asset.asset_entry.last_run_id:
            yield run_id
        for latest in (instance.fetch_materializations(key, limit=1), instance.fetch_observations(key, limit=1)):
            yield from (record.run_id for record in latest.records)
    partitions = set(instance.get_dynamic_partitions(SEGMENTS.name or ""))
    if not partitions:
        return
    for key in (MEMBERSHIP, AUDIENCE):
        latest_ids = instance.get_latest_storage_id_by_partition(
            key, DagsterEventType.ASSET_MATERIALIZATION, partitions
        )
        yield from _runs_of(instance, key, sorted(latest_ids.values()), before)
        # The attempts after the last materialization: Dagster shows a partition as failed for one that failed.
        events = instance.event_log_storage
        attempts = events.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        yield from (run_id for partition, (run_id, _) in attempts.items() if partition in partitions)


def _runs_of(
    instance: dg.DagsterInstance, key: dg.AssetKey, storage_ids: Sequence[int], before: datetime
) -> Iterator[str]:
    """Yield the ids of the runs that wrote the materializations `storage_ids` of the asset `key`.

    Runs that are clearly later than `before` are left out.
    """
    for first in range(0, len(storage_ids), _EVENTS_A_QUERY):
        materializations = dg.AssetRecordsFilter(
            asset_key=key,
            storage_ids=storage_ids[first : first + _EVENTS_A_QUERY],
            before_timestamp=(before + _SLACK).timestamp(),
        )
        yield from (
            record.run_id for record in instance.fetch_materializations(materializations, limit=_EVENTS_A_QUERY).records
        )


@dg.op(
    name="apply_retention",
    out=dg.Out(dg.Nothing),
    description=(
        "Deletes what is older than its retention period: Dagster's finished runs, ended requests for a sync, figures "
        "of campaigns. docs/operations.md says what stays. Failed? What was deleted is gone, and the next run does the "
        "rest. It is always safe to run it again."
    ),
)
def apply_retention(context: dg.OpExecutionContext, retention: dg.ResourceParam[ApplyRetention]) -> None:
    """Delete old rows of the pipeline's tables, then old runs of Dagster. The output metadata have the numbers."""
    rows = retention.delete_rows()
    runs = delete_runs(context.instance, retention.dagster_runs_before())
    context.add_output_metadata(
        {
            "sync_requests_deleted": dg.MetadataValue.int(rows.sync_requests),
            "campaign_stats_deleted": dg.MetadataValue.int(rows.campaign_stats),
            "runs_deleted": dg.MetadataValue.int(runs.deleted),
            "runs_kept": dg.MetadataValue.int(runs.kept),
            "runs_left": dg.MetadataValue.int(runs.left),
        }
    )


@dg.job(
    name="mailchimp_retention",
    executor_def=dg.in_process_executor,
    description="Deletes what is older than its retention period. Daily at 03:30 UTC.",
)
def mailchimp_retention() -> None:
    """Run `apply_retention`."""
    apply_retention()


daily_retention = dg.ScheduleDefinition(
    name="mailchimp_retention",
    job=mailchimp_retention,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Deletes what is older than its retention period.",
)
