"""What a sync works with: audiences and members as Mailchimp describes them, and what came of what was sent.

Values only; `plan` and `push` say what is done with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

    from mailchimp_pipeline.consent import Channel

Figure: TypeAlias = int | dict[str, int]
"""A count, or counts by reason."""

BATCH_SIZE = 500
"""Contacts in one call, Mailchimp's limit."""

CONNECTIONS = 10
"""Connections Mailchimp allows one account at a time."""


class MemberStatus(StrEnum):
    """The status of a member, in Mailchimp's words."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"
    PENDING = "pending"
    TRANSACTIONAL = "transactional"
    ARCHIVED = "archived"


class KnownStatus(StrEnum):
    """The status of a member as we know it: Mailchimp's, or `removed` for one whom we archived (`member_states`)."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"
    PENDING = "pending"
    TRANSACTIONAL = "transactional"
    ARCHIVED = "archived"
    REMOVED = "removed"


MAILED = (MemberStatus.SUBSCRIBED, MemberStatus.PENDING)
"""Statuses of members who are sent campaigns, or asked to confirm."""


class Rejection(StrEnum):
    """Why Mailchimp did not accept a contact, or why the contact was not sent because of its status there."""

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
    """Opted out or erased, or no longer in the segment, since the membership was made."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience (list) as Mailchimp describes it; `web_id` is its id in the addresses of its pages there."""

    id: str
    name: str
    member_count: int
    double_optin: bool
    web_id: int | None = None


@dataclass(frozen=True, slots=True)
class MergeField:
    """A merge field of an audience, by its tag, such as FNAME. One that is made anew has another `merge_id`."""

    tag: str
    is_required: bool = False
    merge_id: int | None = None


@dataclass(frozen=True, slots=True)
class MemberRef:
    """A member of an audience: the hash of its address, and Mailchimp's ids of it.

    `member_id` names the member in paths, None where it is the hash. `contact_id` survives a change of the address.
    """

    subscriber_hash: str
    contact_id: str | None = None
    member_id: str | None = None

    @property
    def path_id(self) -> str:
        """Return what names the member in the paths of the API."""
        return self.member_id or self.subscriber_hash


@dataclass(frozen=True, slots=True)
class MemberState:
    """A member's status as Mailchimp gave it, and when the member last changed, by Mailchimp's clock.

    `channel` says how the contact or an administrator came to leave, where Mailchimp tells.
    """

    subscriber_hash: str
    status: MemberStatus
    changed_at: datetime | None = None
    contact_id: str | None = None
    member_id: str | None = None
    channel: "Channel | None" = None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A withdrawal of consent that the member's status does not tell, and when it was made, by Mailchimp's clock."""

    subscriber_hash: str
    at: datetime
    channel: "Channel"


@dataclass(frozen=True, slots=True)
class NewMember:
    """One contact as it is sent: `status` is subscribed or pending."""

    subscriber_hash: str
    email: str
    status: MemberStatus
    merge_fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """Some members of a segment against what the audience has of them, in contacts.

    `differences` has a row for each who is not subscribed exactly as wanted. `unchanged` are. `waiting` were rejected
    as they are now, by reason, and are not sent again yet.
    """

    differences: "pd.DataFrame"
    unchanged: int = 0
    waiting: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """Mailchimp's answer to a batch, by subscriber hash: each contact sent is in exactly one of the three.

    `changed_at` is when the last of the members changed, by Mailchimp's clock.
    """

    accepted: Mapping[str, MemberRef]
    existing: frozenset[str]
    rejected: Mapping[str, Rejection] = field(default_factory=dict[str, Rejection])
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recheck:
    """What is known of a contact right before it is sent: its status in the audience, and whether it may be sent."""

    status: KnownStatus | None
    may_be_sent: bool


class AddressChangeResult(StrEnum):
    """Why a member could not be given another address."""

    UNKNOWN = "unknown"
    """The audience does not have the former address."""
    TAKEN = "taken"
    """The audience has a member with the new address."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync of one segment did, in contacts.

    `wanted` is the sum of `new` and `changed`, which Mailchimp accepted, `rejected`, which it did not, `waiting`, which
    were rejected before and not sent again, `withheld`, which were not sent because of their status in the audience,
    and `unchanged`. Of the accepted, `moved` got another address and `returned` were subscribed again after an opt-in;
    `invited` were asked to confirm. Beside them, `archived` left every segment of the audience.
    `calls` are the calls that changed something at Mailchimp.
    """

    wanted: int
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])
    waiting: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])
    withheld: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])
    moved: int = 0
    returned: int = 0
    invited: int = 0
    archived: int = 0
    calls: int = 0

    @property
    def in_audience(self) -> int:
        """Return how many of the wanted members are subscribed."""
        return self.unchanged + self.new + self.changed - self.invited

    @property
    def awaiting_confirmation(self) -> int:
        """Return how many of the wanted members Mailchimp asked to confirm."""
        return self.invited + self.withheld.get(Rejection.PENDING, 0)

    @property
    def rejected_share(self) -> float:
        """Return the share of the wanted members that Mailchimp does not accept, 0 to 1."""
        rejected = sum(self.rejected.values()) + sum(self.waiting.values())
        return rejected / self.wanted if self.wanted else 0.0

    def as_dict(self) -> dict[str, Figure]:
        """Return the report as JSON values, for the segment's `last_report` and for metadata."""
        return {
            "wanted": self.wanted,
            "in_audience": self.in_audience,
            "awaiting_confirmation": self.awaiting_confirmation,
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "rejected": _by_reason(self.rejected),
            "waiting": _by_reason(self.waiting),
            "withheld": _by_reason(self.withheld),
            "moved": self.moved,
            "returned": self.returned,
            "archived": self.archived,
            "calls": self.calls,
        }


def _by_reason(counts: Mapping[Rejection, int]) -> dict[str, int]:
    return {str(reason): count for reason, count in sorted(counts.items())}
