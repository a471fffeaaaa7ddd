"""What the tasks of a push did, and the report that they add up to."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mailchimp_pipeline.sync.model import Refusal, SyncReport


@dataclass(frozen=True, slots=True)
class Result:
    """What one task adds to the report; the counts by the names that the report gives them."""

    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    refused: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    withheld: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])


def together(results: Iterable[Result]) -> Result:
    """Return the sum of all."""
    counts: Counter[str] = Counter()
    refused: Counter[Refusal] = Counter()
    withheld: Counter[Refusal] = Counter()
    for result in results:
        counts.update(result.counts)
        refused.update(result.refused)
        withheld.update(result.withheld)
    return Result(counts, refused, withheld)


def report(results: Iterable[Result], withdrawn: int) -> SyncReport:
    """Return what a sync of one segment did, by the results of its tasks and how many were unsubscribed."""
    total = together(results)
    counts = Counter(total.counts)
    left_out = counts["unchanged"] + counts["refused_before"]
    touched = counts["new"] + counts["changed"] + sum(total.refused.values()) + sum(total.withheld.values())
    return SyncReport(
        wanted=touched + left_out,
        new=counts["new"],
        changed=counts["changed"],
        unchanged=counts["unchanged"],
        refused=total.refused,
        refused_before=counts["refused_before"],
        withheld=total.withheld,
        moved=counts["moved"],
        returned=counts["returned"],
        withdrawn=withdrawn,
        archived=counts["archived"],
        calls=counts["calls"] + withdrawn,
    )
