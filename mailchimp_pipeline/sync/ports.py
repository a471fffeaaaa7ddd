"""The ports of a sync: the audiences of a Mailchimp account, and the ledger of one audience.

The ledger is the table of what an audience has.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from mailchimp_pipeline.sync.audience import (
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
    """The audiences of one Mailchimp account. Every call may raise `TransientError` or `PermanentError`."""

    def audiences(self) -> Sequence[Audience]:
        """Return all audiences of the account."""
        ...

    def audience(self, list_id: str) -> Audience:
        """Return the audience. Raises `PermanentError` if it does not exist."""
        ...

    def merge_fields(self, list_id: str) -> Sequence[MergeField]:
        """Return the merge fields of the audience."""
        ...

    def member_states(
        self, list_id: str, *, status: MemberStatus | None = None, since: datetime | None = None
    ) -> Iterator[Sequence[MemberState]]:
        """Yield pages of the members that changed after `since`, or of all members, the latest change first.

        With `status`, only members with this status. Without it, archived members are left out, as in Mailchimp's API.
        """
        ...

    def complaints(self, list_id: str) -> Iterator[Sequence[Withdrawal]]:
        """Yield pages of the spam complaints by the audience's members."""
        ...

    def member_state(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """Return the current state of the member, None if the audience does not have the member."""
        ...

    def find_contact(self, list_id: str, contact_id: str) -> MemberState | None:
        """Return the member with this contact id, which stays the same if the address changes.

        Returns None if the audience does not have the member.
        """
        ...

    def subscribe(
        self,
        list_id: str,
        members: Sequence[NewMember],
        *,
        update_existing: bool,
        may_repeat: Callable[[], bool] | None = None,
    ) -> BatchAnswer:
        """Send one batch of at most `BATCH_SIZE` contacts. Existing members are changed only with `update_existing`.

        After a failure the whole batch is sent again, unless `may_repeat` returns False.
        """
        ...

    def change_member(
        self, list_id: str, ref: MemberRef, merge_fields: Mapping[str, str]
    ) -> MemberState | Rejection | None:
        """Change the member's merge fields, never its status.

        Returns the member's new state, the reason if Mailchimp refuses, or None if the audience does not have the
        member.
        """
        ...

    def set_member_status(self, list_id: str, ref: MemberRef, status: MemberStatus) -> MemberState | Rejection | None:
        """Set the member's status.

        Returns the member's new state, the reason if Mailchimp refuses, or None if the audience does not have the
        member.
        """
        ...

    def change_address(
        self, list_id: str, ref: MemberRef, new_email: str
    ) -> MemberState | AddressChangeResult | Rejection:
        """Change the member's address; the status stays the same.

        Returns the member's new state, or the reason why the address was not changed.
        """
        ...

    def archive_member(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """Archive the member. Returns its new state, None if the audience does not have the member.

        Members that Mailchimp does not archive keep their state.
        """
        ...

    def one_connection(self) -> AbstractContextManager[None]:
        """Reserve one connection for the calls that this thread makes in the block.

        The start of the block waits until a connection is free. The calls in the block never wait for one.
        """
        ...


class Ledger(Protocol):
    """The table of what one audience has (`audience_members`).

    It has what Mailchimp last reported about each member, and a digest of the data that Mailchimp last accepted. Every
    call is its own transaction.
    """

    def read_through(self) -> datetime | None:
        """Return the time up to which changes were pulled, None before the first pull."""
        ...

    def record_member_states(self, members: Sequence[MemberState]) -> None:
        """Record members as reported by Mailchimp, and the opt-ins and withdrawals that the reports show."""
        ...

    def record_result(self, subscriber_hash: str, member: MemberState | None) -> None:
        """Record the state of a member after a call that the pipeline made.

        `member` is None if the audience does not have the member. Unlike `record_member_states`, this records no opt-in
        or withdrawal of consent.
        """
        ...

    def record_withdrawals(self, withdrawals: Sequence[Withdrawal]) -> None:
        """Record withdrawals of consent, such as spam complaints."""
        ...

    def finish_reading(self, through: datetime, merge_fields: Sequence[MergeField] | None) -> None:
        """Record that all changes up to `through` were pulled, and the audience's merge fields.

        If `merge_fields` is None, the recorded merge fields stay the same.
        """
        ...

    def merge_tags(self) -> frozenset[str]:
        """Return the tags of the audience's merge fields, as of the last time they were read."""
        ...

    def begin_push(self) -> None:
        """Record the start of a push.

        Until `end_push`, Mailchimp may have changes that the database does not have yet.
        """
        ...

    def end_push(self) -> None:
        """Record the end of a push, when every answer of Mailchimp is recorded."""
        ...

    def compare(self, segment_id: str) -> Iterator[Compared]:
        """Compare the segment's members with the audience. Yield the results in the order of subscriber hashes.

        Each result is about some of the members. The columns of its `differences` (Arrow strings) are:

        - subscriber_hash, email, first_name, last_name, entity_type, entity_id
        - digest: a hash of the e-mail address and merge fields, which tells whether they changed
        - known_status: a `KnownStatus`, null if the audience does not have the member or the pipeline archived it,
          archived if an administrator archived the contact under its former address
        - member_id: the member's id in the API's paths, null if it is the subscriber hash
        - returns: "yes" if the contact opted in after it was unsubscribed, else null
        - moved_from, moved_from_id: hash and id of the contact's former address, if no contact has that address now
        - own_address: "yes" if the contact changed this address at Mailchimp to another one, else null

        If several contacts in live segments of the audience share an address, only the first is included (employees
        before vendors, then the lowest id). A rejected contact is included once it is due to be sent again.
        """
        ...

    def recheck(self, segment_id: str, rows: "pd.DataFrame") -> Mapping[str, Recheck]:
        """Return, by subscriber hash, the current status of contacts that are about to be sent.

        `rows` are rows of `differences`. Contacts that are not in the result may be sent. The result is empty if
        nothing changed since the comparison.
        """
        ...

    def members_to_unsubscribe(self) -> Sequence[MemberRef]:
        """Return the subscribed and pending members who may not be e-mailed."""
        ...

    def leavers(self) -> Sequence[MemberRef]:
        """Return the subscribed members to archive.

        These are members who left a segment that archives leavers and who are in no other live segment of the audience,
        and former addresses of contacts whose present address is subscribed. Only members added by the pipeline are
        included.
        """
        ...

    def record_archived(self, subscriber_hash: str, at: datetime | None) -> None:
        """Record that the pipeline archived a member, `at` by Mailchimp's clock."""
        ...

    def record_address(self, former: str, row: "pd.DataFrame", member: MemberState) -> None:
        """Record that a call of the pipeline changed a member's address, and the member's new state.

        `former` is the subscriber hash of the old address, and `row` the row of `differences` with the new address.
        """
        ...

    def record_accepted(
        self, rows: "pd.DataFrame", accepted: Mapping[str, MemberRef], status: MemberStatus, at: datetime | None
    ) -> None:
        """Record the contacts that Mailchimp accepted, with the status that they now have.

        `rows` are rows of `differences`, `accepted` has the members' ids by subscriber hash, and `at` is the time of
        the change by Mailchimp's clock.
        """
        ...

    def record_rejected(self, rows: "pd.DataFrame", rejected: Mapping[str, Rejection], *, of_whole_batch: bool) -> None:
        """Record why Mailchimp rejected contacts, and when they are sent again. Their known statuses stay the same.

        `rows` are rows of `differences`, and `rejected` has the reasons by subscriber hash. `of_whole_batch` says that
        Mailchimp rejected every contact of the batch.
        """
        ...
