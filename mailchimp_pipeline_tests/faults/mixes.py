"""Mixes of faults: what goes wrong with a fifth of all calls, drawn anew for each seed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from random import Random

from sandbox import Fault, FaultKind

SHARE = 0.2
"""The calls that go wrong, of all."""

READ_SECONDS = 5.0
"""How long the pipeline waits for an answer here: longer than any takes by itself. A late one comes after it."""

_LATE_AT_MOST = 3
"""Each is waited for in vain; the others cost next to nothing."""

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
"""Each kind of fault, where it makes a difference with a call that was not carried out and with one that was."""


@dataclass(frozen=True)
class Mix:
    """What befalls a fifth of all calls. Equal seeds give equal mixes."""

    seed: int

    def faults(self) -> Iterator[Fault]:
        """Yield the faults; each is asked only where those before it did not strike."""
        random = Random(self.seed)  # noqa: S311 - repeatable on purpose
        parts = [(kind, applied) for kind, ways in _APPLIED.items() for applied in ways]
        weights = [random.random() ** 2 for _ in parts]
        left = 1.0
        for (kind, applied), weight in zip(parts, weights, strict=True):
            share = SHARE * weight / sum(weights)
            delay, times = (READ_SECONDS + 0.3, _LATE_AT_MOST) if kind is FaultKind.LATE else (0, None)
            yield Fault(kind=kind, applied=applied, share=share / left, times=times, delay_seconds=delay)
            left -= share
