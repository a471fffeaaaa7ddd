"""The ports of erasures: the audiences of a Mailchimp account, and the stored erasures."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from mailchimp_pipeline.erasure.decisions import Deletion, Demand, ErasureRequest, Reach, Targets
from mailchimp_pipeline.sync import Audience, MemberRef, MemberState, MemberStatus


class ErasureAudiences(Protocol):
    """The audiences of one account. Every call may raise `TransientError` or `PermanentError`."""

    def audiences(self) -> Sequence[Audience]:
        """Return all audiences of the account."""
        ...

    def member_states(self, list_id: str, *, status: MemberStatus | None = None) -> Iterator[Sequence[MemberState]]:
        """Yield the audience's members in pages. Without a status, archived members are left out."""
        ...

    def member_state(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """Return the current state of the member, None if the audience does not have the member."""
        ...

    def find_contact(self, list_id: str, contact_id: str) -> MemberState | None:
        """Return the member with this contact id, None if the audience does not have the member."""
        ...

    def delete_permanently(self, list_id: str, ref: MemberRef) -> Deletion:
        """Delete the member permanently."""
        ...


class AttemptRecords(Protocol):
    """The stored state of an erasure during an attempt. Every call is its own transaction."""

    def audiences_known(self, request: ErasureRequest) -> Sequence[str]:
        """Return the audiences of the organisation's segments and ledgers, in any account."""
        ...

    def keeps_addresses(self, request: ErasureRequest) -> bool:
        """Return whether the erasure has keyed hashes of the contact's addresses."""
        ...

    def recognised(self, request: ErasureRequest, subscriber_hashes: Iterable[str]) -> Sequence[str]:
        """Return the contact's addresses among these, found by their keyed hashes."""
        ...

    def hold_audience(self, request: ErasureRequest, list_id: str) -> AbstractContextManager[None]:
        """Lock the audience for the block. Raises `TransientError` if a sync of it is running."""
        ...

    def save(self, request: ErasureRequest, targets: Targets, *, error: str | None = None) -> None:
        """Store the progress and the error of an attempt."""
        ...

    def sweep(self, request: ErasureRequest, targets: Targets, list_id: str) -> Targets:
        """Remove rows that a sync of the audience has written since the request.

        Return the targets with their addresses.
        """
        ...


class ErasureRecords(AttemptRecords, Protocol):
    """The stored erasures. Every call is its own transaction."""

    def ask(self, organisation_id: str, demand: Demand) -> ErasureRequest:
        """Remove the contact from the database, and store what is left to delete at Mailchimp.

        Raises `UnknownContact` if neither the source nor the database has the contact.
        """
        ...

    def get(self, request: ErasureRequest) -> ErasureRequest:
        """Return the current state of the erasure."""
        ...

    def pending(self) -> Sequence[ErasureRequest]:
        """Return the pending erasures of all organisations, oldest first."""
        ...

    def hold(self, request: ErasureRequest) -> AbstractContextManager[None]:
        """Lock the erasure for the block. Raises `TransientError` if another process holds the lock."""
        ...

    def begin(self, request: ErasureRequest) -> Targets | None:
        """Count an attempt. Return the targets, None if the erasure is not pending."""
        ...

    def conclude(self, request: ErasureRequest, targets: Targets) -> bool:
        """Complete the erasure, unless the contact has targets that are not done. Return whether it is completed."""
        ...

    def reach(self, organisation_id: str) -> Reach:
        """Return the organisation's current and former Mailchimp accounts."""
        ...
