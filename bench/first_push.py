"""The first push: a whole `audience_sync` of new contacts, beside what ten connections allow, and how it grows."""

from collections.abc import Mapping, Sequence

from bench import bare
from bench.figures import Figure, Scale, exponent, script
from bench.materialize import AUDIENCE, Cost, materialize
from bench.stage import Stage, stage
from mailchimp_pipeline.segments import Segment

CONTACTS = 100_000

WHERE = (
    "Two cores are Mailchimp, PostgreSQL and the pipeline: of 100,000 contacts they take 4.5, 4.7 and 7 s of a core. "
    "The batches themselves take 10 s, where ten bare threads take 8.4 s: a connection is held 0.45 s for its call, "
    "as its thread waits for a core, and 0.02 s for its lock in PostgreSQL, which other processes may want. Before "
    "the first batch pass 4 s in which nothing can be sent: 0.7 s for Dagster's first events, 0.9 s for the source "
    "and the audience, read side by side, and 2.1 s for the membership, which has to be stored before anybody is "
    "pushed (in PostgreSQL 0.5 s for its rows, 0.6 s for its foreign key, 0.6 s for the index by contact)."
)
"""By py-spy, EXPLAIN ANALYZE and the times of each step of a run."""
SUPPRESSED = 101
"""A hundred employees have opted out, and one is erased."""

_OTHER_SIZES = (CONTACTS // 4, 4 * CONTACTS)


def first_push(stage: Stage, organisation_id: str, contacts: int) -> tuple[Segment, Cost]:
    """Make an organisation with so many employees, sync them all into an empty audience, and check that they came.

    It has `SUPPRESSED` more, who may not be e-mailed.
    """
    stage.hr.hire([organisation_id], contacts + SUPPRESSED)
    stage.connect(organisation_id, [f"{organisation_id}1"])
    stage.suppress(organisation_id, range(contacts + 1, contacts + SUPPRESSED + 1))
    segment = stage.segment(organisation_id, f"{organisation_id}1")
    cost = materialize(stage, AUDIENCE, [segment])
    stage.expect_subscribed(segment.mailchimp_list_id, contacts)
    return segment, cost


def _measure(scale: Scale) -> Sequence[Figure]:
    contacts = scale.of(CONTACTS)
    with stage() as here:
        here.connect("bare", ["bare1"])
        threads = bare.push(here.stack.settings.api_root, "bare", "bare1", bare.batches(contacts))
        _, cost = first_push(here, "size1", contacts)
        others = {size: first_push(here, f"size{size}", size)[1] for size in _OTHER_SIZES if scale.is_full}
    bound = bare.bound_seconds(contacts)
    beside = (
        f"{cost.seconds:.1f} s; ten connections and nothing but latency {bound:.1f} s, ten bare threads against this "
        f"sandbox {threads:.1f} s"
    )
    what = f"`audience_sync` of {contacts:,} new contacts, time ÷ bound"
    pushed = Figure("first push", what, cost.seconds / bound, "", "≤", 1.5, 1.15, beside, WHERE)
    return [pushed, _growth({contacts: cost, **others})] if others else [pushed]


def _growth(costs: Mapping[int, Cost]) -> Figure:
    sizes = sorted(costs)
    took = [costs[size].seconds for size in sizes]
    each = ", ".join(f"{size:,}: {seconds:.1f} s" for size, seconds in zip(sizes, took, strict=True))
    what = "exponent over 1, 4 and 16 times the contacts"
    return Figure("growth of the first push", what, exponent(sizes, took), "", "≤", 1.05, 1.05, each)


if __name__ == "__main__":
    script(_measure)
