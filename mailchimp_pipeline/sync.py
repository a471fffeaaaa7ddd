"""One segment into its audience: the plan, the batches, and what became of each contact.

Core: ports in, a report out. What does not belong here: HTTP (`mailchimp`), SQL (`database`),
who is a member (`segments`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

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
    """Why Mailchimp did not take a contact, or why we did not take over a member that was there before us."""

    COMPLIANCE = "compliance_state"
    FORGOTTEN = "permanently_deleted"
    FAKE = "looks_fake"
    INVALID_ADDRESS = "invalid_address"
    MERGE_FIELD = "merge_field"
    TOO_MANY_SIGNUPS = "too_many_signups"
    UNSUBSCRIBED = "unsubscribed_at_mailchimp"
    CLEANED = "cleaned_at_mailchimp"
    ARCHIVED = "archived_at_mailchimp"
    PENDING = "awaiting_confirmation"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Audience:
    """An audience (list) as Mailchimp describes it."""

    id: str
    name: str
    member_count: int
    double_optin: bool


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
    refused: Mapping[str, Refusal] = field(default_factory=dict)


class Audiences(Protocol):
    """Mailchimp, as a sync needs it: one account's audiences. Raises `errors.PassingError` and `LastingError`."""

    def audience(self, list_id: str) -> Audience:
        """Return the audience; a lasting error where it does not exist."""
        ...

    def merge_tags(self, list_id: str) -> frozenset[str]:
        """Return the tags of all merge fields of the audience, such as FNAME."""
        ...

    def subscribe(self, list_id: str, members: Sequence[NewMember], *, update_existing: bool) -> BatchAnswer:
        """Send one batch of at most `BATCH_SIZE` members."""
        ...

    def member_status(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        """Return the member's status, None where the audience does not know the address."""
        ...


class Outcome(StrEnum):
    """What became of a contact that was pushed, as the ledger keeps it (`audience_members.state`)."""

    PUSHED = "pushed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class MemberOutcome:
    """One line for the ledger: `status` is what Mailchimp has now, as far as we know."""

    subscriber_hash: str
    outcome: Outcome
    status: MemberStatus | None = None
    refusal: Refusal | None = None


class Ledger(Protocol):
    """Our own record of what one audience has from us, by contact (`audience_members`)."""

    def differences(self, segment_id: str) -> "Iterator[pd.DataFrame]":
        """Yield, in pieces, the segment's members that are not in the audience exactly as they are wanted.

        Columns (Arrow strings): subscriber_hash, email, first_name, last_name, entity_type, entity_id, digest,
        known_digest, known_state (an `Outcome`), known_status (a `MemberStatus`), known_refusal (a `Refusal`);
        the known_ ones are null for a contact the audience does not have from us.
        Of several members of the audience's segments with one address only the first comes
        (employees before vendors, then the lowest id).
        """
        ...

    def unchanged(self, segment_id: str) -> int:
        """Count the segment's members that the audience has exactly as they are wanted."""
        ...

    def record(self, rows: "pd.DataFrame", outcomes: Sequence[MemberOutcome]) -> None:
        """Write down what became of a batch, in one transaction. `rows` are rows of `differences`."""
        ...
