"""What an erasure needs of the outside: the account's audiences at Mailchimp, and what is kept of erasures."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from mailchimp_pipeline.erasure.decisions import Deletion, Demand, ErasureRequest, Reach, Targets
from mailchimp_pipeline.sync import Audience, MemberRef, MemberState, MemberStatus


class ErasureAudiences(Protocol):
    """The audiences of one account. Every call may raise `errors.TransientError` or `errors.PermanentError`."""

    def audiences(self) -> Sequence[Audience]:
        """Return all audiences of the account."""
        ...

    def member_states(self, list_id: str, *, status: MemberStatus | None = None) -> Iterator[Sequence[MemberState]]:
        """Yield the audience's members in pages; without a status archived ones are left out."""
        ...

    def member_state(self, list_id: str, ref: MemberRef) -> MemberState | None:
        """Return the member as it is now, None where the audience does not have it."""
        ...

    def find_contact(self, list_id: str, contact_id: str) -> MemberState | None:
        """Return the member with this contact id, None where the audience has none."""
        ...

    def delete_permanently(self, list_id: str, ref: MemberRef) -> Deletion:
        """Delete the member permanently."""
        ...


class AttemptRecords(Protocol):
    """What is kept of an erasure while Mailchimp is asked. Every call is a transaction of its own."""

    def audiences_known(self, request: ErasureRequest) -> Sequence[str]:
        """Return the audiences that the organisation synced or is to sync, of whatever account."""
        ...

    def keeps_addresses(self, request: ErasureRequest) -> bool:
        """Tell whether keyed hashes of the contact's addresses are kept from before."""
        ...

    def recognised(self, request: ErasureRequest, subscriber_hashes: Iterable[str]) -> Sequence[str]:
        """Return which of the addresses are the contact's, by the keyed hashes that are kept of them."""
        ...

    def hold_audience(self, request: ErasureRequest, list_id: str) -> AbstractContextManager[None]:
        """Keep syncs out of the audience. Raises a transient error where one is running."""
        ...

    def save(self, request: ErasureRequest, targets: Targets, *, error: str | None = None) -> None:
        """Keep how far it has come, and why not further."""
        ...

    def sweep(self, request: ErasureRequest, targets: Targets, list_id: str) -> Targets:
        """Remove what a sync wrote of the contact in the audience since; return the targets with it."""
        ...


class ErasureRecords(AttemptRecords, Protocol):
    """What is kept of erasures. Every call is a transaction of its own."""

    def ask(self, organisation_id: str, demand: Demand) -> ErasureRequest:
        """Remove the contact here, and write down what Mailchimp is to be asked.

        Raises `UnknownContact` where neither the source nor anything here has such a contact.
        """
        ...

    def get(self, request: ErasureRequest) -> ErasureRequest:
        """Return the erasure as it stands now."""
        ...

    def pending(self) -> Sequence[ErasureRequest]:
        """Return the erasures of all organisations that are pending, the oldest first."""
        ...

    def hold(self, request: ErasureRequest) -> AbstractContextManager[None]:
        """Keep others from carrying out the same erasure. Raises a transient error where another process does."""
        ...

    def begin(self, request: ErasureRequest) -> Targets | None:
        """Count an attempt; return the targets, None where nothing is left to do."""
        ...

    def conclude(self, request: ErasureRequest, targets: Targets) -> bool:
        """Complete it, unless more is known of the contact than was asked for. Tell which."""
        ...

    def reach(self, organisation_id: str) -> Reach:
        """Return which accounts the organisation has and had."""
        ...
