"""Results of the tasks of a push, and their sum as a report."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mailchimp_pipeline.sync.model import Rejection, SyncReport


@dataclass(frozen=True, slots=True)
class Result:
    """The counts that one task adds to the report. Keys of `counts` are field names of `SyncReport`."""

    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    rejected: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])
    waiting: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])
    withheld: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])


def together(results: Iterable[Result]) -> Result:
    """Return the sum of the results."""
    counts: Counter[str] = Counter()
    rejected: Counter[Rejection] = Counter()
    waiting: Counter[Rejection] = Counter()
    withheld: Counter[Rejection] = Counter()
    for result in results:
        counts.update(result.counts)
        rejected.update(result.rejected)
        waiting.update(result.waiting)
        withheld.update(result.withheld)
    return Result(counts, rejected, waiting, withheld)


def report(total: Result) -> SyncReport:
    """Return the sum of all results as a report."""
    counts = Counter(total.counts)
    by_reason = sum(sum(each.values()) for each in (total.rejected, total.waiting, total.withheld))
    return SyncReport(
        wanted=counts["new"] + counts["changed"] + counts["unchanged"] + by_reason,
        new=counts["new"],
        changed=counts["changed"],
        unchanged=counts["unchanged"],
        rejected=total.rejected,
        waiting=total.waiting,
        withheld=total.withheld,
        moved=counts["moved"],
        returned=counts["returned"],
        invited=counts["invited"],
        archived=counts["archived"],
        calls=counts["calls"],
    )
