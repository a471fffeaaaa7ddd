"""What the tasks of a push did, and the report that they add up to."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mailchimp_pipeline.sync.model import Refusal, SyncReport


@dataclass(frozen=True, slots=True)
class Result:
    """What one task adds to the report; the counts by the names that the report gives them."""

    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    refused: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    withheld: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    changed_at: datetime | None = None
    """When the last of the members changed by it, by Mailchimp's clock."""


def together(results: Iterable[Result]) -> Result:
    """Return the sum of all."""
    counts: Counter[str] = Counter()
    refused: Counter[Refusal] = Counter()
    withheld: Counter[Refusal] = Counter()
    all_of_them = [*results]
    for result in all_of_them:
        counts.update(result.counts)
        refused.update(result.refused)
        withheld.update(result.withheld)
    changed_at = max((result.changed_at for result in all_of_them if result.changed_at), default=None)
    return Result(counts, refused, withheld, changed_at)


def report(total: Result, withdrawn: int) -> SyncReport:
    """Return what a sync of one segment did, by the sum of its results and how many were unsubscribed."""
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
