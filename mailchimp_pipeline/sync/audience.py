"""The values of a sync: audiences and members as Mailchimp describes them, its answers, and the report of a push."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import pandas as pd

    from mailchimp_pipeline.consent import Channel

Figure: TypeAlias = int | dict[str, int]
"""A number of contacts or calls, or numbers of contacts by reason."""

BATCH_SIZE = 500
"""Mailchimp's limit of contacts in one call."""

CONNECTIONS = 10
"""Mailchimp's limit of parallel connections of one account."""


class MemberStatus(StrEnum):
    """The status of a member at Mailchimp."""

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"
    PENDING = "pending"
    TRANSACTIONAL = "transactional"
    ARCHIVED = "archived"


class KnownStatus(StrEnum):
    """The status of a member in the database: Mailchimp's status, or `removed`.

    `removed` means that the pipeline archived the member, and `archived` that somebody else did.
    """

    SUBSCRIBED = "subscribed"
    UNSUBSCRIBED = "unsubscribed"
    CLEANED = "cleaned"
    PENDING = "pending"
    TRANSACTIONAL = "transactional"
    ARCHIVED = "archived"
    REMOVED = "removed"


MAILED = (MemberStatus.SUBSCRIBED, MemberStatus.PENDING)
"""The statuses of members who receive e-mail: campaigns (subscribed), or a request to confirm (pending)."""


class Rejection(StrEnum):
    """The reason why Mailchimp rejected a contact, or why the pipeline did not send it."""

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
    """The contact opted out, was erased or left the segment after the segment's members were computed."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience (list) at Mailchimp. `web_id` is the audience's id in the URLs of Mailchimp's web pages."""

    id: str
    name: str
    member_count: int
    double_optin: bool
    web_id: int | None = None


@dataclass(frozen=True, slots=True)
class MergeField:
    """A merge field of an audience. `tag` is its name, such as FNAME.

    A field that is deleted and created again has a new `merge_id`.
    """

    tag: str
    is_required: bool = False
    merge_id: int | None = None


@dataclass(frozen=True, slots=True)
class MemberRef:
    """The ids of a member of an audience.

    `subscriber_hash` is the MD5 of the member's address in lower case. `member_id` is the member's id in the API's
    paths, None if it is the same as the hash. `contact_id` stays the same if the address changes.
    """

    subscriber_hash: str
    contact_id: str | None = None
    member_id: str | None = None

    @property
    def path_id(self) -> str:
        """Return the id that identifies the member in URL paths of the Marketing API."""
        return self.member_id or self.subscriber_hash


@dataclass(frozen=True, slots=True)
class MemberState:
    """The state of a member as reported by Mailchimp.

    `changed_at` is the time of the member's last change, by Mailchimp's clock. `channel` is how a member withdrew
    consent, None if Mailchimp does not report it. The ids are those of `MemberRef`.
    """

    subscriber_hash: str
    status: MemberStatus
    changed_at: datetime | None = None
    contact_id: str | None = None
    member_id: str | None = None
    channel: "Channel | None" = None


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A withdrawal of consent that the member's status may not show. `at` is by Mailchimp's clock."""

    subscriber_hash: str
    at: datetime
    channel: "Channel"


@dataclass(frozen=True, slots=True)
class NewMember:
    """A contact to send to Mailchimp. `status` is subscribed or pending."""

    subscriber_hash: str
    email: str
    status: MemberStatus
    merge_fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of comparing some members of a segment with the audience.

    `differences` has one row for each contact that the audience lacks, or has with other data or another status.
    `unchanged` is the number of contacts without a difference. `waiting` is the number, by reason, of contacts that
    Mailchimp rejected and that are not due to be sent again.
    """

    differences: "pd.DataFrame"
    unchanged: int = 0
    waiting: Mapping[Rejection, int] = field(default_factory=dict[Rejection, int])


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """Mailchimp's answer to a batch, by subscriber hash. Each contact is in `accepted`, `existing` or `rejected`.

    Mailchimp added or changed the `accepted` contacts. `existing` contacts are those that it left as they are, because
    they were members already and the batch was only for new ones. `changed_at` is the time of the first change by
    Mailchimp's clock, None if nothing changed.
    """

    accepted: Mapping[str, MemberRef]
    existing: frozenset[str]
    rejected: Mapping[str, Rejection] = field(default_factory=dict[str, Rejection])
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recheck:
    """A contact's known status in the audience, and whether it may be sent, as of the moment before it is sent."""

    status: KnownStatus | None
    may_be_sent: bool


class AddressChangeResult(StrEnum):
    """The reason why Mailchimp did not change a member's address."""

    UNKNOWN = "unknown"
    """The audience has no member with the former address."""
    TAKEN = "taken"
    """The audience already has a member with the new address."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The result of pushing one segment. All figures but `calls` are numbers of contacts.

    - `wanted` is the sum of `new`, `changed`, `unchanged`, `rejected`, `waiting` and `withheld`.
    - `new` and `changed` contacts were sent and accepted by Mailchimp, `rejected` contacts were not accepted.
    - `waiting` contacts were rejected by an earlier sync and are not due to be sent again.
    - `withheld` contacts were not sent because of their status in the audience.
    - `moved` contacts got a new address, and `returned` contacts were subscribed again after an opt-in.
    - `invited` contacts were asked by Mailchimp to confirm.
    - `archived` members left every segment of the audience.
    - `calls` is the number of calls that change members, and of reads before an archive call.
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
        """Return the number of wanted contacts that are subscribed members."""
        return self.unchanged + self.new + self.changed - self.invited

    @property
    def awaiting_confirmation(self) -> int:
        """Return the number of wanted contacts that Mailchimp asked to confirm and that have not done so."""
        return self.invited + self.withheld.get(Rejection.PENDING, 0)

    @property
    def rejected_share(self) -> float:
        """Return the share of the wanted contacts that Mailchimp rejected, in this sync or an earlier one, 0 to 1."""
        rejected = sum(self.rejected.values()) + sum(self.waiting.values())
        return rejected / self.wanted if self.wanted else 0.0

    def as_dict(self) -> dict[str, Figure]:
        """Return the figures as JSON values, for the segment's `last_report` and for Dagster's metadata."""
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
