"""What a sync needs of the outside: Mailchimp's audiences, and our own ledger of one of them."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from mailchimp_pipeline.sync.model import (
    Audience,
    BatchAnswer,
    Compared,
    Found,
    MemberOutcome,
    MemberStatus,
    NewMember,
    Refusal,
    Renaming,
    Standing,
    Withdrawal,
)

if TYPE_CHECKING:
    import pandas as pd


class Audiences(Protocol):
    """Mailchimp: one account's audiences. Every call may raise `errors.PassingError` or `errors.LastingError`."""

    def audience(self, list_id: str) -> Audience:
        """Return the audience; a lasting error where it does not exist."""
        ...

    def merge_tags(self, list_id: str) -> frozenset[str]:
        """Return the tags of all merge fields of the audience, such as FNAME."""
        ...

    def standings(
        self, list_id: str, *, status: MemberStatus | None = None, since: datetime | None = None
    ) -> Iterator[Sequence[Standing]]:
        """Yield the members in pages, all of them or those with one status, that changed after `since`.

        Those that changed last come first.
        Without a status archived members are left out, as Mailchimp does.
        """
        ...

    def subscribe(self, list_id: str, members: Sequence[NewMember], *, update_existing: bool) -> BatchAnswer:
        """Send one batch of at most `BATCH_SIZE` members."""
        ...

    def member_status(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        """Return the member's status, None where the audience does not know the address."""
        ...

    def set_member_status(
        self, list_id: str, subscriber_hash: str, status: MemberStatus
    ) -> MemberStatus | Refusal | None:
        """Set the member's status; return what it is then, why Mailchimp refused, or None for an unknown member."""
        ...

    def rename_member(self, list_id: str, subscriber_hash: str, new_email: str) -> Renaming | Refusal:
        """Move the member to another address; its status stays. Return why not where Mailchimp refuses the address."""
        ...

    def find_contact(self, list_id: str, contact_id: str) -> Found | None:
        """Return the member with this lasting id, None where the audience has none."""
        ...

    def archive_member(self, list_id: str, subscriber_hash: str) -> MemberStatus | None:
        """Archive the member; return how it stands then, None where the audience does not know it."""
        ...


class Ledger(Protocol):
    """Our own record of what one audience has, by contact (`audience_members`)."""

    def read_through(self) -> datetime | None:
        """Return the moment up to which the members' standings were read, None before the first time."""
        ...

    def take_over(self, standings: Sequence[Standing]) -> None:
        """Write down what Mailchimp says of members, in one transaction; those unknown so far become `SEEN`.

        An unsubscription that is later than the contact's own word to us becomes its withdrawal of consent. Who then
        subscribes there again, and we had no part in it, consents again; a withdrawal told to us stays.
        """
        ...

    def finish_reading(self, through: datetime) -> None:
        """Note that all standings up to this moment are taken over."""
        ...

    def knows_unsubscribed(self) -> bool:
        """Tell whether any contact is known to be anything but subscribed at Mailchimp."""
        ...

    def pushed_through(self) -> datetime | None:
        """Return when members last changed by a push that ended, by Mailchimp's clock; None before the first."""
        ...

    def begin_push(self) -> None:
        """Note that contacts are about to be sent: until `end_push` the audience may have more than is written down."""
        ...

    def end_push(self, through: datetime | None) -> None:
        """Note that every answer is written down, and when the last of the members changed by it at Mailchimp."""
        ...

    def push_is_unfinished(self) -> bool:
        """Tell whether a push began and did not end since the members were read."""
        ...

    def compare(self, segment_id: str) -> Iterator[Compared]:
        """Yield, in pieces by hash, how the segment's members differ from what the audience has of them.

        Columns of `differences` (Arrow strings): subscriber_hash, email, first_name, last_name, entity_type,
        entity_id, digest,
        known_status (a `MemberStatus`; null where Mailchimp has no such member as far as we know, or one that we
        archived; archived where others archived the contact at its former address),
        returns ("yes" where the contact opted in after it was unsubscribed there, else null),
        moved_from (the hash of the contact's former address, where that is a member from us and nobody's any more),
        own_address ("yes" where the contact itself changed this address at Mailchimp for another, else null).
        Of several members of the audience's live segments with one address only the first comes
        (employees before vendors, then the lowest id). One that Mailchimp refused comes again only
        when its digest is another than the refused one's, or when Mailchimp has it after all.
        """
        ...

    def barred(self, segment_id: str, rows: "pd.DataFrame") -> Mapping[str, Refusal]:
        """Return, by hash, which of these differences must not be sent any more, and why.

        They opted out, were erased, or left the audience (by what the ledger knows) since they were compared.
        """
        ...

    def withdrawn(self) -> Sequence[Withdrawal]:
        """Return the members subscribed or pending there whose contact opted out, by hash."""
        ...

    def note_withdrawn(self, subscriber_hash: str, status: MemberStatus | None) -> None:
        """Note how a member stands whose withdrawal was carried to Mailchimp; None where it does not know it."""
        ...

    def leavers(self) -> Sequence[str]:
        """Return the hashes of members from us, subscribed there, that are to be archived.

        They left a segment that archives its leavers, and no other live segment of the audience has them; or they are
        former addresses of contacts who are subscribed at their present one.
        """
        ...

    def note_archived(self, subscriber_hash: str, status: MemberStatus | None) -> None:
        """Note that a leaver was archived, or how it stands instead; None where the audience does not know it."""
        ...

    def rename(self, subscriber_hash: str, row: "pd.DataFrame") -> None:
        """Note that the member has now the address of `row` (one row of `differences`), and keeps its status."""
        ...

    def record(self, rows: "pd.DataFrame", outcomes: Sequence[MemberOutcome]) -> None:
        """Write down what became of a batch, in one transaction. `rows` are rows of `differences`."""
        ...
