"""A run of Dagster's job in a process of its own, and what it cost: seconds from the job's start to its end, memory.

`python -m bench.materialize ASSET FIRST LAST FILE` is that process. What does not belong here: runs that Dagster's
daemon starts (`scheduled_sync`).
"""

import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.stage import Stage
from mailchimp_pipeline.embedded.processes import run
from mailchimp_pipeline.segments import Segment

MEMBERSHIP, AUDIENCE = "segment_membership", "audience_sync"
"""The assets: the membership alone sends nothing; the audience is synced after its segments' membership was made."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took. The memory is the most that was resident at once, with Python, Dagster and all libraries."""

    seconds: float
    peak_mb: float


def materialize(stage: Stage, asset: str, segments: Sequence[Segment]) -> Cost:
    """Materialize one of the assets for these segments, in the order of their keys."""
    keys = [segment.partition_key for segment in segments]
    written = stage.stack.dagster_home / "cost.json"
    command = [sys.executable, "-m", "bench.materialize", asset, str(written), *keys]
    run(command, stage.stack.environment, stage.stack.children.directory)
    return Cost(**json.loads(written.read_text()))


def peak_mb() -> float:
    """Return the most memory that this process had, in MB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes where it is not Linux
    # Not what `getrusage` says: that counts the process that started this one, too.
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def _main(asset: str, file: str, *keys: str) -> None:
    import dagster as dg  # noqa: PLC0415 - for the process of the run alone

    from mailchimp_pipeline.definitions import defs  # noqa: PLC0415 - as above
    from mailchimp_pipeline.defs.sync_runs import SEGMENTS, SyncConfig  # noqa: PLC0415 - as above

    upstream = [MEMBERSHIP, AUDIENCE][: 1 + (asset == AUDIENCE)]
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions(SEGMENTS.name or "", list(keys))
        job = defs.resolve_job_def("mailchimp_scheduled_sync")
        begun = time.monotonic()
        selection = [dg.AssetKey(name) for name in upstream]
        config = SyncConfig(segments=list(keys)).run_config
        job.execute_in_process(config, instance=instance, asset_selection=selection)
        cost = Cost(time.monotonic() - begun, peak_mb())
    Path(file).write_text(json.dumps(asdict(cost)))


if __name__ == "__main__":
    _main(*sys.argv[1:])
