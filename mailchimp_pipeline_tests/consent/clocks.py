"""Three clocks: the true one, ours and Mailchimp's. They differ by as much as they are set to, and move together."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class Clocks:
    """The time; it moves when told to, by whole seconds, as Mailchimp's does."""

    now: datetime = datetime(2026, 3, 1, 5, tzinfo=UTC)
    ours_ahead: timedelta = timedelta()

    def true(self) -> datetime:
        """Return the true time, by which the sandbox runs: it adds Mailchimp's difference itself."""
        return self.now

    def ours(self) -> datetime:
        """Return the time as the product is told it."""
        return self.now + self.ours_ahead

    def move(self, seconds: int = 1) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
