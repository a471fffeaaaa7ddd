"""The scheduled sync: from a schedule's tick in Dagster's daemon to the last segment `synced`, and how that grows."""

import time
from collections.abc import Sequence
from datetime import timedelta

from bench.figures import Figure, Scale, exponent, script
from bench.materialize import AUDIENCE, materialize
from bench.stage import Stage, WorkNotDone, stage
from mailchimp_pipeline.clock import utc_now
from mailchimp_pipeline.segments import Segment, SegmentStatus

ORGANISATIONS = 100
SEGMENTS_EACH = 5
CONTACTS = 50

_PATIENCE = timedelta(minutes=6)
_LOOK_EVERY_SECONDS = 0.5
_FIRST_TICK = "select extract(epoch from min(timestamp) at time zone 'utc') from job_ticks where type = 'SCHEDULE'"
"""When the first tick was due, as Dagster wrote it down; seconds since 1970."""


def _measure(scale: Scale) -> Sequence[Figure]:
    organisations = scale.of(ORGANISATIONS)
    sizes = [organisations // 16, organisations // 4, organisations] if scale.is_full else [organisations]
    works = [size * SEGMENTS_EACH for size in sizes]
    took = [_took(size) for size in sizes]
    what = f"{works[-1]} segments of {organisations} organisations, {CONTACTS} contacts each, nothing changed"
    figures = [Figure("scheduled sync", what, took[-1], "s", "≤", 120, 45)]
    if scale.is_full:
        each = ", ".join(f"{work} segments: {seconds:.1f} s" for work, seconds in zip(works, took, strict=True))
        what = "exponent over 1, 4 and 16 times the segments"
        figures.append(Figure("growth of the scheduled sync", what, exponent(works, took), "", "≤", 1.05, 1.05, each))
    return figures


def _took(organisations: int) -> float:
    """Return the seconds from the first tick of a daemon to the last segment that it had synced."""
    with stage() as here:
        _settle(here, [f"org{number:03}" for number in range(organisations)])
        since = utc_now()
        here.start_daemon("bench.tick")
        while not all(segment.last_synced_at and segment.last_synced_at > since for segment in _segments(here)):
            if utc_now() - since > _PATIENCE:
                raise WorkNotDone(f"Not all segments were synced within {_PATIENCE}.")
            time.sleep(_LOOK_EVERY_SECONDS)
        return utc_now().timestamp() - here.dagster(_FIRST_TICK)


def _settle(stage: Stage, organisations: Sequence[str]) -> None:
    """Make the organisations and sync their segments once; each segment has an audience of its own."""
    stage.hr.hire(organisations, CONTACTS)
    segments: list[Segment] = []
    for name in organisations:
        audiences = [f"{name}a{number}" for number in range(SEGMENTS_EACH)]
        stage.connect(name, audiences)
        segments += [stage.segment(name, audience) for audience in audiences]
    with stage.without_latency():
        materialize(stage, AUDIENCE, segments)
    for segment in segments:
        stage.expect_subscribed(segment.mailchimp_list_id, CONTACTS)
        stage.let_a_day_pass(segment)


def _segments(stage: Stage) -> Sequence[Segment]:
    segments = stage.pipeline.due_segments()
    if failed := [segment.last_error for segment in segments if segment.status is SegmentStatus.ERROR]:
        raise WorkNotDone(f"A segment ended in error: {failed[0]}")
    return segments


if __name__ == "__main__":
    script(_measure)
