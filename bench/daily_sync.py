"""The daily sync: after a first push, with nothing changed, and with one contact in a hundred changed."""

from collections.abc import Sequence

from bench.figures import Figure, Scale, script
from bench.first_push import CONTACTS, first_push
from bench.materialize import AUDIENCE, Cost, materialize
from bench.stage import Stage, stage
from mailchimp_pipeline.segments import Segment
from mailchimp_pipeline.sync import BATCH_SIZE

_CHANGED_IN = 100

_WHERE = (
    "The first push is so short that what every run costs counts: a sync of 1,000 contacts takes 2.3 s, half of it "
    "Dagster's events and half Mailchimp's latency (the audience is read, then a batch is sent). Of 100,000 contacts "
    "0.6 s more are for reading the source, 0.7 s for comparing it with the membership, and 0.8 s for comparing "
    "that with what the audience has."
)


def _measure(scale: Scale) -> Sequence[Figure]:
    contacts = scale.of(CONTACTS)
    with stage() as here:
        segment, first = first_push(here, "acme", contacts)
        first_pushes, first_calls = here.pushes(), here.calls()
        _, pushes, _ = _again(here, segment)
        here.hr.marry("acme", every=_CHANGED_IN)
        cost, changed_pushes, changed_calls = _again(here, segment)
    batches = -(-contacts // _CHANGED_IN // BATCH_SIZE)
    share, time_share = 100 * changed_pushes / first_pushes, 100 * cost.seconds / first.seconds
    told = f"{changed_pushes} pushes ({batches} batches are needed) and {changed_calls - changed_pushes} reads"
    return [
        Figure("daily sync, nothing changed", "calls that push", pushes, "", "≤", 0, 0),
        Figure(
            "daily sync, 1 % changed: calls",
            "calls that push ÷ those of the first push",
            share,
            "%",
            "≤",
            2,
            100 * batches / first_pushes,
            f"{told}; first push {first_pushes} pushes, {first_calls - first_pushes} reads",
        ),
        Figure(
            "daily sync, 1 % changed: time",
            "time ÷ time of the first push",
            time_share,
            "%",
            "≤",
            10,
            10,
            f"{cost.seconds:.1f} s; first push {first.seconds:.1f} s",
            _WHERE,
        ),
    ]


def _again(stage: Stage, segment: Segment) -> tuple[Cost, int, int]:
    """Sync once more the next day; return the cost, and how many batches were pushed and calls made in all."""
    stage.let_a_day_pass(segment)
    pushes, calls = stage.pushes(), stage.calls()
    cost = materialize(stage, AUDIENCE, [segment])
    return cost, stage.pushes() - pushes, stage.calls() - calls


if __name__ == "__main__":
    script(_measure)
