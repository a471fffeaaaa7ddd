"""A Dagster run that stopped before its end. Loads neither pandas nor SQLAlchemy: sensors build one in a tick."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """A run that stopped before its end: the partition keys of its segments, and the requests that it served."""

    id: str
    keys: Sequence[str]
    begun: datetime
    request_ids: Sequence[str] = ()
