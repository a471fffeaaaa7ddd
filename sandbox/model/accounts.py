"""An account with its audiences, campaigns and concurrent calls."""

from dataclasses import dataclass, field
from datetime import datetime

from sandbox.model import problems
from sandbox.model.audiences import Audience
from sandbox.model.campaigns import Campaign

READING_ROLES = frozenset({"viewer"})
"""User roles that may only read."""


@dataclass(slots=True)
class Account:
    """A Mailchimp account."""

    id: str
    name: str
    created_at: datetime
    role: str = "owner"
    deactivated: bool = False
    audiences: dict[str, Audience] = field(default_factory=dict[str, Audience])
    campaigns: dict[str, Campaign] = field(default_factory=dict[str, Campaign])
    concurrent_calls: int = 0

    def audience(self, list_id: str) -> Audience:
        """Return an audience of the account, or raise `not_found`."""
        if list_id not in self.audiences:
            raise problems.not_found()
        return self.audiences[list_id]

    def campaign(self, campaign_id: str) -> Campaign:
        """Return a campaign of the account, or raise `not_found`."""
        if campaign_id not in self.campaigns:
            raise problems.not_found()
        return self.campaigns[campaign_id]

    def check_usable(self, method: str) -> None:
        """Reject calls to a deactivated account, and changes by a read-only role."""
        if self.deactivated:
            raise problems.user_disabled()
        if method not in {"GET", "HEAD"} and self.role in READING_ROLES:
            raise problems.forbidden()
