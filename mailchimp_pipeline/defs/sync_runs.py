"""Runs over segments: their partitions, config and tags, and how sensors find and read them.

The partitions are `organisation/segment-id`, one for each live segment of a connected organisation.
"""

# pyright: reportUnknownMemberType=false

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, cast

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    PRIORITY_TAG,
    WILL_RETRY_TAG,
)
from pydantic import Field

from mailchimp_pipeline.sync.segment_results import Trigger

SEGMENTS = dg.DynamicPartitionsDefinition(name="segments")


def whole_organisations(keys: Sequence[str], per_run: int) -> Iterator[list[str]]:
    """Split partition keys into lists of at most `per_run` keys, one for each run. Keeps their order.

    The keys must be ordered by organisation. The keys of an organisation are never split: if it has more than
    `per_run`, they are one list.
    """
    run: list[str] = []
    for _, group in groupby(keys, key=lambda key: key.rpartition("/")[0]):
        theirs = list(group)
        if run and len(run) + len(theirs) > per_run:
            yield run
            run = []
        run += theirs
    if run:
        yield run


STEP = "sync_segments"
"""The name of the op, which is the only step of a run."""

TRIGGER_TAG = "mailchimp/trigger"
"""What started a run: `Trigger.SCHEDULE` or `Trigger.REQUEST`. Runs started in Dagster's UI do not have this tag."""

ORGANISATION_TAG = "mailchimp/organisation"
"""The organisation whose requests the run serves."""

_REQUEST_PRIORITY = "5"
"""The priority of requested runs: above scheduled runs (0), below erasures (10)."""

_RETRY_WITHIN = timedelta(hours=1)
"""The maximum time until Dagster starts the retry of a failed run, which usually takes seconds."""

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class SyncConfig(dg.Config):
    """The Dagster config of a sync run: which segments it syncs, and which requests it serves.

    It is empty if somebody started the run for partitions in Dagster's UI. Then it syncs their segments.
    """

    segments: list[str] = Field(default=[], description="Partition keys of the segments: organisation/segment-id.")
    requests: list[str] = Field(default=[], description="Ids of the requests for a sync that the run serves.")

    @classmethod
    def of(cls, run: dg.DagsterRun) -> "SyncConfig":
        """Return the config of a run."""
        ops = cast("dict[str, dict[str, Any]]", run.run_config.get("ops") or {})
        config: dict[str, Any] = ops.get(STEP, {}).get("config") or {}
        return cls(**config)

    @property
    def run_config(self) -> dg.RunConfig:
        """The config in Dagster's format."""
        return dg.RunConfig(ops={STEP: self})


def scheduled_run(run_key: str, keys: Sequence[str]) -> dg.RunRequest:
    """Return the request for a run of the daily schedule that syncs the segments with these partition keys."""
    return dg.RunRequest(
        run_key=run_key,
        run_config=SyncConfig(segments=list(keys)).run_config,
        tags={TRIGGER_TAG: Trigger.SCHEDULE.value},
    )


def requested_run(organisation_id: str, config: SyncConfig) -> dg.RunRequest:
    """Return the request for a run that serves an organisation's requests.

    Its run key has the id of the oldest request.
    """
    tags = {TRIGGER_TAG: Trigger.REQUEST.value, ORGANISATION_TAG: organisation_id, PRIORITY_TAG: _REQUEST_PRIORITY}
    run_key = f"{organisation_id}/{config.requests[0]}"
    return dg.RunRequest(run_key=run_key, run_config=config.run_config, tags=tags)


def trigger_of(run: dg.DagsterRun) -> Trigger:
    """Return what started the run."""
    return Trigger(run.tags.get(TRIGGER_TAG, Trigger.DAGSTER))


def waiting_for_retry(instance: dg.DagsterInstance, now: datetime, job_name: str | None = None) -> list[dg.DagsterRun]:
    """Return the failed runs that Dagster is about to retry."""
    failed = dg.RunsFilter(
        job_name=job_name,
        statuses=[dg.DagsterRunStatus.FAILURE],
        tags={WILL_RETRY_TAG: "true"},
        updated_after=now - _RETRY_WITHIN,
    )
    return [run for run in instance.get_runs(failed) if run.is_complete_and_waiting_to_retry]


def may_need_partitions(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Return whether a run or backfill that a person started for partitions, and so needs them, is unfinished."""
    ours = {TRIGGER_TAG: [Trigger.SCHEDULE.value, Trigger.REQUEST.value]}
    unfinished = instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED))
    if unfinished > instance.get_runs_count(dg.RunsFilter(statuses=UNFINISHED, tags=ours)):
        return True
    backfills = instance.get_backfills(filters=BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED]), limit=1)
    return bool(backfills) or any(TRIGGER_TAG not in run.tags for run in waiting_for_retry(instance, now))


def partition_keys(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[str]:
    """Yield the partition keys of a run's segments."""
    if segments := SyncConfig.of(run).segments:
        yield from segments
    elif key := run.tags.get(PARTITION_NAME_TAG):
        yield key
    elif ASSET_PARTITION_RANGE_START_TAG in run.tags:
        keys = instance.get_dynamic_partitions(SEGMENTS.name or "")
        first, last = run.tags[ASSET_PARTITION_RANGE_START_TAG], run.tags[ASSET_PARTITION_RANGE_END_TAG]
        if first in keys and last in keys:
            yield from keys[keys.index(first) : keys.index(last) + 1]


def show_as_failed(instance: dg.DagsterInstance, run: dg.DagsterRun, asset: dg.AssetKey, key: str) -> None:
    """Record the partition of the asset as planned in the run, so that Dagster shows it as failed if the run fails.

    Dagster shows a planned partition as failed if a failed run has not materialized it. Dagster plans partitions itself
    only for runs that were started for partitions.
    """
    if SyncConfig.of(run).segments:
        planned = AssetMaterializationPlannedData(asset, partition=key)
        event = DagsterEvent.build_asset_materialization_planned_event(run.job_name, STEP, planned)
        instance.report_dagster_event(event, run.run_id)
