"""Random mixes of faults that affect a fifth of all calls."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from sandbox import Fault, FaultKind

SHARE = 0.2
"""The share of calls with a fault."""

READ_SECONDS = 5.0
"""The read time-out of the client, longer than any normal answer. Late answers exceed it."""

_LATE_AT_MOST = 3
"""The number of late answers, which each cost a time-out."""

_APPLIED: Mapping[FaultKind, tuple[bool | None, ...]] = {
    FaultKind.THROTTLED: (None,),
    FaultKind.BLOCKED: (None,),
    FaultKind.BROKEN: (False, True),
    FaultKind.BAD_GATEWAY: (False, True),
    FaultKind.UNAVAILABLE: (False,),
    FaultKind.CUT: (False, True),
    FaultKind.LATE: (None,),
    FaultKind.MALFORMED: (None,),
    FaultKind.EMPTY: (False, True),
}
"""Each kind of fault, with both values of `applied` where the value makes a difference."""


@dataclass(frozen=True)
class Mix:
    """The faults of a mix. Equal seeds give equal mixes."""

    seed: int

    def faults(self) -> Iterator[Fault]:
        """Yield the faults in order. Each applies to the calls that the former ones leave out."""
        random = Random(self.seed)  # noqa: S311 - repeatable on purpose
        parts = [(kind, applied) for kind, ways in _APPLIED.items() for applied in ways]
        weights = [random.random() ** 2 for _ in parts]
        left = 1.0
        for (kind, applied), weight in zip(parts, weights, strict=True):
            share = SHARE * weight / sum(weights)
            delay, times = (READ_SECONDS + 0.3, _LATE_AT_MOST) if kind is FaultKind.LATE else (0, None)
            yield Fault(kind=kind, applied=applied, share=share / left, times=times, delay_seconds=delay)
            left -= share
