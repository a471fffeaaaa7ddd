"""The words of a sync: what Mailchimp says of an audience and its members, and what became of a push.

Values only; what is done with them stands in `plan` and `push`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

Figure: TypeAlias = int | dict[str, int]
"""A count, or counts by reason."""

BATCH_SIZE = 500
"""Contacts in one call, Mailchimp's limit."""

CONNECTIONS = 10
"""Connections Mailchimp allows one account at a time."""


class MemberStatus(StrEnum):
    """What Mailchimp says of a member of an audience."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"
    PENDING = "pending"
    TRANSACTIONAL = "transactional"
    ARCHIVED = "archived"


class Refusal(StrEnum):
    """Why Mailchimp did not take a contact, or why its standing there keeps us from sending it."""

    COMPLIANCE = "compliance_state"
    FORGOTTEN = "permanently_deleted"
    FAKE = "looks_fake"
    INVALID_ADDRESS = "invalid_address"
    MERGE_FIELD = "merge_field"
    TOO_MANY_SIGNUPS = "too_many_signups"
    UNSUBSCRIBED = "unsubscribed_at_mailchimp"
    CLEANED = "cleaned_at_mailchimp"
    ARCHIVED = "archived_at_mailchimp"
    TRANSACTIONAL = "transactional_at_mailchimp"
    PENDING = "awaiting_confirmation"
    OTHER = "other"


class Outcome(StrEnum):
    """What we know of a contact in an audience, as the ledger keeps it (`audience_members.state`)."""

    SEEN = "seen"
    PUSHED = "pushed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience (list) as Mailchimp describes it; `web_id` is its id in the addresses of its pages there."""

    id: str
    name: str
    member_count: int
    double_optin: bool
    web_id: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """A member's status at Mailchimp when it was read."""

    subscriber_hash: str
    status: MemberStatus


@dataclass(frozen=True, slots=True)
class NewMember:
    """One contact as it is sent: `status` is subscribed or pending."""

    subscriber_hash: str
    email: str
    status: MemberStatus
    merge_fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What Mailchimp made of a batch, by subscriber hash: each contact sent stands in exactly one of the three."""

    accepted: frozenset[str]
    existing: frozenset[str]
    refused: Mapping[str, Refusal] = field(default_factory=dict[str, Refusal])


@dataclass(frozen=True, slots=True)
class MemberOutcome:
    """One line for the ledger: `status` is what Mailchimp has now, as far as we know."""

    subscriber_hash: str
    outcome: Outcome
    status: MemberStatus | None = None
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync of one segment did, in contacts: `wanted` is the sum of all the others but `read` and `calls`.

    `new` and `changed` were taken by Mailchimp, `refused` were not, `refused_before` were not tried again,
    `withheld` were not sent because of their standing there. `calls` are the batches sent,
    `read` the members whose standing was read first.
    """

    wanted: int
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    refused_before: int = 0
    withheld: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    calls: int = 0
    read: int = 0

    @property
    def refused_share(self) -> float:
        """Return which share of what was sent Mailchimp refused, 0 to 1."""
        refused = sum(self.refused.values())
        sent = self.new + self.changed + refused
        return refused / sent if sent else 0.0

    def as_dict(self) -> dict[str, Figure]:
        """Return the report as JSON values, for the segment's `last_report` and for metadata."""
        return {
            "wanted": self.wanted,
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "refused": {str(reason): count for reason, count in sorted(self.refused.items())},
            "refused_before": self.refused_before,
            "withheld": {str(reason): count for reason, count in sorted(self.withheld.items())},
            "calls": self.calls,
            "read": self.read,
        }
