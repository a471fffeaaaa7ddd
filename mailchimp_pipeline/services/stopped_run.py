"""A Dagster run that stopped early. This module imports neither pandas nor SQLAlchemy, because sensors use it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailchimp_pipeline.sync.segment_results import Trigger


@dataclass(frozen=True, slots=True)
class StoppedRun:
    """A run that stopped early. `keys` are its segments' partition keys, `request_ids` the requests that it served."""

    id: str
    keys: Sequence[str]
    begun: datetime
    request_ids: Sequence[str] = ()
    trigger: Trigger = Trigger.DAGSTER
