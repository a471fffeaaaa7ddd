"""The words of a sync: what Mailchimp says of an audience and its members, and what became of a push.

Values only; what is done with them stands in `plan` and `push`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

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


MAILED = (MemberStatus.SUBSCRIBED, MemberStatus.PENDING)
"""Who is sent campaigns, or asked to confirm."""


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
    OWN_ADDRESS = "address_changed_at_mailchimp"
    WITHDRAWN = "withdrawn_meanwhile"
    """Opted out, or erased, since the sync looked who is a member."""
    OTHER = "other"


class Outcome(StrEnum):
    """What we know of a contact in an audience, as the ledger keeps it (`audience_members.state`)."""

    SEEN = "seen"
    PUSHED = "pushed"
    REFUSED = "refused"
    ARCHIVED = "archived"
    """Archived by us, because the contact left every segment of the audience."""


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience (list) as Mailchimp describes it; `web_id` is its id in the addresses of its pages there."""

    id: str
    name: str
    member_count: int
    double_optin: bool
    web_id: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """A member as Mailchimp has it now: its address as a hash, and its lasting id where Mailchimp tells one."""

    subscriber_hash: str
    contact_id: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A member's status at Mailchimp when it was read, and when the member last changed there.

    `contact_id` is Mailchimp's lasting id of the member, which survives a change of its address.
    """

    subscriber_hash: str
    status: MemberStatus
    changed_at: datetime | None = None
    contact_id: str | None = None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A member who opted out and is still mailed, by its address and by its lasting id where that is known."""

    subscriber_hash: str
    contact_id: str | None = None


@dataclass(frozen=True, slots=True)
class NewMember:
    """One contact as it is sent: `status` is subscribed or pending."""

    subscriber_hash: str
    email: str
    status: MemberStatus
    merge_fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """Some of a segment's members against what the audience has of them, in contacts.

    `differences` has a row for each who is not subscribed there exactly as wanted; `unchanged` are, and
    `refused_before` were refused as they are now.
    """

    differences: "pd.DataFrame"
    unchanged: int = 0
    refused_before: int = 0


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """What Mailchimp made of a batch, by subscriber hash: each contact sent stands in exactly one of the three.

    `accepted` has each member's contact id, None where Mailchimp gave none. `changed_at` is when the last of these
    changed there.
    """

    accepted: Mapping[str, str | None]
    existing: frozenset[str]
    refused: Mapping[str, Refusal] = field(default_factory=dict[str, Refusal])
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MemberOutcome:
    """One line for the ledger: `status` is what Mailchimp has now, as far as we know."""

    subscriber_hash: str
    outcome: Outcome
    status: MemberStatus | None = None
    refusal: Refusal | None = None
    contact_id: str | None = None


class Renaming(StrEnum):
    """What became of the move of a member to another address."""

    RENAMED = "renamed"
    UNKNOWN = "unknown"
    """The audience does not know the former address."""
    TAKEN = "taken"
    """The audience has the other address already, as a member of its own."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync of one segment did, in contacts.

    `wanted` is the sum of `new` and `changed`, which Mailchimp took, `refused`, which it did not, `refused_before`,
    which were not tried again, `withheld`, which were not sent because of their standing there, and `unchanged`.
    Of those taken `moved` got another address and `returned` are back by their own word. Beside them were
    `withdrawn`, who opted out, unsubscribed, and `archived`, who left every segment of the audience, archived.
    `calls` are the calls that changed something at Mailchimp.
    """

    wanted: int
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    refused: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    refused_before: int = 0
    withheld: Mapping[Refusal, int] = field(default_factory=dict[Refusal, int])
    moved: int = 0
    returned: int = 0
    withdrawn: int = 0
    archived: int = 0
    calls: int = 0

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
            "moved": self.moved,
            "returned": self.returned,
            "withdrawn": self.withdrawn,
            "archived": self.archived,
            "calls": self.calls,
        }
