"""A manual request: from `segments.sync` through the API to the first call at Mailchimp, on a machine that is idle."""

import statistics
import time
from collections.abc import Callable, Sequence

from bench.figures import Figure, Scale, script
from bench.stage import Stage, WorkNotDone, stage
from mailchimp_pipeline.local.stack import Dashboard

REQUESTS = 10
CONTACTS = 50

_PATIENCE_SECONDS = 90
_LOOK_EVERY_SECONDS = 0.02
_IDLE_SECONDS = 3.7
"""Between a sync and the next request; no multiple of the interval at which anything looks for work."""


def _measure(scale: Scale) -> Sequence[Figure]:
    requests = REQUESTS if scale.is_full else 1
    with stage() as here:
        here.hr.hire(["acme"], CONTACTS)
        audiences = [f"acme{number}" for number in range(requests)]
        here.connect("acme", audiences)
        ids = [here.segment("acme", audience).id for audience in audiences]
        here.stack.start_api()
        here.start_daemon("mailchimp_pipeline.definitions")
        _wait(here, _is_up(here), "Dagster's daemon did not come up")
        with here.stack.dashboard("acme") as dashboard:
            took = [_asked(here, dashboard, segment_id) for segment_id in ids]
    beside = f"between {min(took):.1f} and {max(took):.1f} s"
    what = f"`segments.sync` to the first call at Mailchimp, median of {requests}"
    return [Figure("manual request", what, statistics.median(took), "s", "≤", 10, 6, beside)]


def _asked(stage: Stage, dashboard: Dashboard, segment_id: str) -> float:
    """Ask for a sync, and let it end; return the seconds until Mailchimp was first called."""
    time.sleep(_IDLE_SECONDS)
    calls, begun = stage.calls(), time.monotonic()
    dashboard.mutate("mailchimp.segments.sync", id=segment_id)
    _wait(stage, lambda: stage.calls() > calls, "Mailchimp was not called")
    took = time.monotonic() - begun

    def is_synced() -> bool:
        return dashboard.query("mailchimp.segments.get", id=segment_id)["status"] == "synced"

    _wait(stage, is_synced, "The segment was not synced")
    return took


def _is_up(stage: Stage) -> Callable[[], bool]:
    """Return what tells that the daemon has looked for requests: it has made the segments partitions."""
    return lambda: stage.dagster("select count(*) from dynamic_partitions") > 0


def _wait(stage: Stage, is_so: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_so():
        stage.stack.children.check()
        if time.monotonic() > deadline:
            raise WorkNotDone(f"{otherwise} within {_PATIENCE_SECONDS} s.")
        time.sleep(_LOOK_EVERY_SECONDS)


if __name__ == "__main__":
    script(_measure)
