"""What a sync needs of the outside: Mailchimp's audiences, and our ledger of one of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from mailchimp_pipeline.sync.model import (
    AddressChangeResult,
    Audience,
    BatchAnswer,
    Compared,
    MemberRef,
    MemberState,
    MemberStatus,
    MergeField,
    NewMember,
    Recheck,
    Rejection,
    Withdrawal,
)

if TYPE_CHECKING:
    import pandas as pd


class Audiences(Protocol):
    """One account at Mailchimp. Every call may raise `errors.TransientError` or `errors.PermanentError`."""

    def audiences(self) -> Sequence[Audience]:
        """Return all audiences of the account."""
        ...

    def audience(self, list_id: str) -> Audience:
        """Return the audience; a permanent error where it does not exist."""
        ...

    def merge_fields(self, list_id: str) -> Sequence[MergeField]:
        """Return the merge fields of the audience."""
        ...

    def member_states(
        self, list_id: str, *, status: MemberStatus | None = None, since: datetime | None = None
    ) -> Iterator[Sequence[MemberState]]:
        """Yield the members in pages, all or those with one status, that changed after `since`; the latest first.

        Without a status archived members are left out, as Mailchimp does.
        """
        ...

    def complaints(self, list_id: str) -> Iterator[Sequence[Withdrawal]]:
        """Yield the spam complaints of the audience's members in pages."""
        ...

    def member_state(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """Return the member as it is now, None where the audience does not have it."""
        ...

    def find_contact(self, list_id: str, contact_id: str) -> MemberState | None:
        """Return the member with this contact id, None where the audience has none."""
        ...

    def subscribe(self, list_id: str, members: Sequence[NewMember], *, update_existing: bool) -> BatchAnswer:
        """Send one batch of at most `BATCH_SIZE` members."""
        ...

    def change_member(
        self, list_id: str, ref: MemberRef, merge_fields: Mapping[str, str]
    ) -> MemberState | Rejection | None:
        """Change a member's merge fields, and never its status; None where the audience does not have it."""
        ...

    def set_member_status(self, list_id: str, ref: MemberRef, status: MemberStatus) -> MemberState | Rejection | None:
        """Set the member's status; return the member then, why Mailchimp refused, or None for an unknown member."""
        ...

    def change_address(
        self, list_id: str, ref: MemberRef, new_email: str
    ) -> MemberState | AddressChangeResult | Rejection:
        """Give the member another address; its status stays. Return the member then, or why not."""
        ...

    def archive_member(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """Archive the member; return it then, None where the audience does not have it."""
        ...

    def one_connection(self) -> AbstractContextManager[None]:
        """Make the calls of the block, in this thread, over one connection: nothing is waited for between them."""
        ...


class Ledger(Protocol):
    """Our record of one audience (`audience_members`), and what it lacks. Every call is a transaction of its own."""

    def read_through(self) -> datetime | None:
        """Return the moment up to which changes were pulled, None before the first time."""
        ...

    def record_member_states(self, members: Sequence[MemberState]) -> None:
        """Record what Mailchimp says of members, and the consent statements that this amounts to."""
        ...

    def record_result(self, subscriber_hash: str, member: MemberState | None) -> None:
        """Record the member after a call of ours, None where the audience does not have it: nobody stated anything."""
        ...

    def record_withdrawals(self, withdrawals: Sequence[Withdrawal]) -> None:
        """Record withdrawals of consent, such as spam complaints."""
        ...

    def finish_reading(self, through: datetime, merge_fields: Sequence[MergeField] | None) -> None:
        """Record that all changes up to this moment were pulled, and the audience's merge fields if they were read."""
        ...

    def merge_tags(self) -> frozenset[str]:
        """Return the tags of the audience's merge fields, as they were read last."""
        ...

    def begin_push(self) -> None:
        """Record that contacts are about to be sent: until `end_push` the audience may have more than is recorded."""
        ...

    def end_push(self) -> None:
        """Record that every answer is recorded."""
        ...

    def compare(self, segment_id: str) -> Iterator[Compared]:
        """Yield, in pieces by hash, how the segment's members differ from what the audience has of them.

        Columns of `differences` (Arrow strings): subscriber_hash, email, first_name, last_name, entity_type,
        entity_id, digest,
        known_status (a `KnownStatus`; null where the audience does not have the member, or we archived it; archived
        where an administrator archived the contact at its former address),
        member_id (Mailchimp's id for paths, null where it is the hash),
        returns ("yes" where the contact opted in after it was unsubscribed, else null),
        moved_from and moved_from_id (hash and id of the contact's former address, where no contact has that now),
        own_address ("yes" where the contact changed this address at Mailchimp for another, else null).
        Of several members of the audience's live segments with one address only the first comes (employees before
        vendors, then the lowest id). A rejected contact comes again when it is to be sent again.
        """
        ...

    def recheck(self, segment_id: str, rows: "pd.DataFrame") -> Mapping[str, Recheck]:
        """Return, by hash, what is known now of contacts that are about to be sent; those not in it may be sent.

        Empty where nothing changed since they were compared.
        """
        ...

    def members_to_unsubscribe(self) -> Sequence[MemberRef]:
        """Return the members, subscribed or pending, who may not be e-mailed."""
        ...

    def leavers(self) -> Sequence[MemberRef]:
        """Return the members from us, subscribed, that are to be archived.

        They left a segment that archives its leavers, and no other live segment of the audience has them; or they are
        former addresses of contacts who are subscribed at their present one.
        """
        ...

    def record_archived(self, subscriber_hash: str, at: datetime | None) -> None:
        """Record that we archived a member, `at` by Mailchimp's clock."""
        ...

    def record_address(self, former: str, row: "pd.DataFrame", member: MemberState) -> None:
        """Record that the member has the address of `row` (one row of `differences`) now, and its state."""
        ...

    def record_accepted(
        self, rows: "pd.DataFrame", accepted: Mapping[str, MemberRef], status: MemberStatus, at: datetime | None
    ) -> None:
        """Record the contacts that Mailchimp accepted, `at` by its clock. `rows` are rows of `differences`."""
        ...

    def record_rejected(self, rows: "pd.DataFrame", rejected: Mapping[str, Rejection], *, of_whole_batch: bool) -> None:
        """Record why contacts were rejected, and when they are sent again. Their status stays as it is known."""
        ...
