"""An account: its keys, its audiences and campaigns, and how many calls of it are under way.

What does not belong here: counting what was asked (`recorder`).
"""

from dataclasses import dataclass, field
from datetime import datetime

from sandbox.model import problems
from sandbox.model.audiences import Audience
from sandbox.model.campaigns import Campaign

READING_ROLES = frozenset({"viewer"})
"""Roles of a key's user that may change nothing."""


@dataclass(slots=True)
class Account:
    """One customer of Mailchimp's."""

    id: str
    name: str
    created_at: datetime
    role: str = "owner"
    deactivated: bool = False
    audiences: dict[str, Audience] = field(default_factory=dict[str, Audience])
    campaigns: dict[str, Campaign] = field(default_factory=dict[str, Campaign])
    under_way: int = 0

    def audience(self, list_id: str) -> Audience:
        """Return one of the account's audiences; a problem where it has no such one."""
        if list_id not in self.audiences:
            raise problems.not_found()
        return self.audiences[list_id]

    def campaign(self, campaign_id: str) -> Campaign:
        """Return one of the account's campaigns; a problem where it has no such one."""
        if campaign_id not in self.campaigns:
            raise problems.not_found()
        return self.campaigns[campaign_id]

    def check_usable(self, method: str) -> None:
        """Refuse a deactivated account, and changes by a role that only reads."""
        if self.deactivated:
            raise problems.user_disabled()
        if method not in {"GET", "HEAD"} and self.role in READING_ROLES:
            raise problems.forbidden()
