"""What tells the time. Who needs it is handed a `Clock`; the core never looks at one by itself."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Returns the time, with its zone."""


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)
