"""An erasure request: the deletions to make, the answers that settle them, and the ports of erasures. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, Self

from pydantic import BaseModel, ConfigDict

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.sync import Audience, MemberRef, MemberState, MemberStatus

_NO_IDS: tuple[None, None] = (None, None)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)


class ErasureStatus(StrEnum):
    """The status of an erasure. It is completed once every audience has confirmed the deletion."""

    PENDING = "pending"
    COMPLETED = "completed"


class Deletion(StrEnum):
    """The result of a permanent deletion at Mailchimp."""

    DELETED = "deleted"
    UNKNOWN = "unknown"
    GONE_UNHEARD = "gone_unheard"
    """The member does not exist, but an earlier attempt without an answer may have deleted it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A request to erase a contact, by the user `by`.

    `addresses` are subscriber hashes of the contact's present addresses in the source, in every spelling that Mailchimp
    may have, None if the source could not be read. `is_known` is false if the source was read and does not have the
    contact.
    """

    entity_type: EntityType
    entity_id: str
    addresses: tuple[str, ...] | None
    by: str
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """The state of an erasure. `audiences` is the number of audiences that have or had the contact."""

    id: str
    organisation_id: str
    status: ErasureStatus
    audiences: int
    attempts: int
    last_tried_at: datetime | None
    last_error: str | None
    requested_by: str
    requested_at: datetime
    completed_at: datetime | None

    def is_due(self, now: datetime) -> bool:
        """Return whether the erasure is pending and due for an attempt."""
        if self.status is not ErasureStatus.PENDING:
            return False
        return self.last_tried_at is None or now >= self.last_tried_at + pause_after(self.attempts)


@dataclass(frozen=True, slots=True)
class Reach:
    """Whether the organisation has a Mailchimp account now, and whether it had others before."""

    is_connected: bool
    had_other_accounts: bool


class Trace(BaseModel):
    """An audience that had the contact at an address, according to the ledger."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    list_id: str
    subscriber_hash: str
    contact_id: str | None = None
    member_id: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """An address to delete from an audience. `was_there` is true if the ledger had the address in the audience."""

    list_id: str
    subscriber_hash: str
    was_there: bool
    contact_id: str | None = None
    member_id: str | None = None

    @property
    def ref(self) -> MemberRef:
        """The member to delete."""
        return MemberRef(self.subscriber_hash, self.contact_id, self.member_id)

    @property
    def key(self) -> tuple[str, str]:
        """The audience and the address."""
        return self.list_id, self.subscriber_hash

    def is_settled_by(self, deletion: Deletion) -> bool:
        """Return whether the answer to the deletion by address is final.

        If the audience never had the address, any answer is final. If it had, an unknown address may mean that the
        contact changed it. The contact id then finds the new address.
        """
        if deletion is Deletion.DELETED or not self.was_there:
            return True
        return deletion is Deletion.GONE_UNHEARD and self.contact_id is None


class Targets(BaseModel):
    """The addresses and audiences of an erasure's contact. Every address is deleted in every audience."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    entity_type: EntityType
    entity_id: str
    addresses: tuple[str, ...] = ()
    """Subscriber hashes of the contact's addresses."""
    traces: tuple[Trace, ...] = ()
    settled: tuple[tuple[str, str], ...] = ()
    """Audience and address of each deletion with a final answer."""
    deleted_from: tuple[str, ...] = ()
    source_read: bool = False
    """Whether the source was read for the contact's present address."""

    @property
    def audiences(self) -> int:
        """Return the number of audiences that have or had the contact."""
        return len({trace.list_id for trace in self.traces} | set(self.deleted_from))

    @property
    def is_anywhere(self) -> bool:
        """Return whether an audience had the contact and has not confirmed its deletion."""
        return any(question.was_there for question in self.questions(()))

    def questions(self, list_ids: Iterable[str]) -> Sequence[Question]:
        """Return the open deletions in audiences that had the contact, then those in `list_ids`."""
        traces = {(trace.list_id, trace.subscriber_hash): trace for trace in self.traces}
        ids = {key: (trace.contact_id, trace.member_id) for key, trace in traces.items()}
        had = dict.fromkeys(trace.list_id for trace in self.traces)
        everywhere = [(list_id, address) for list_id in (had | dict.fromkeys(list_ids)) for address in self.addresses]
        settled = set(self.settled)
        return [
            Question(
                *key, was_there=key in traces, contact_id=ids.get(key, _NO_IDS)[0], member_id=ids.get(key, _NO_IDS)[1]
            )
            for key in everywhere
            if key not in settled
        ]

    def with_addresses(self, subscriber_hashes: Iterable[str]) -> Self:
        """Return the targets with more addresses of the contact."""
        return self.model_copy(update={"addresses": tuple(sorted({*self.addresses, *subscriber_hashes}))})

    def with_traces(self, traces: Iterable[Trace]) -> Self:
        """Return the targets with these traces added. A trace that was already deleted is to be deleted again."""
        known = {(trace.list_id, trace.subscriber_hash): trace for trace in self.traces}
        found = {(trace.list_id, trace.subscriber_hash): trace for trace in traces}
        for key, trace in found.items():
            if key not in known or trace.contact_id:
                known[key] = trace
        settled = tuple(key for key in self.settled if key not in found)
        more = self.model_copy(update={"traces": tuple(known.values()), "settled": settled})
        return more.with_addresses(trace.subscriber_hash for trace in found.values())

    def joined_with(self, stored: Self) -> Self:
        """Return the targets with the traces and addresses that a parallel request has stored."""
        known = {(trace.list_id, trace.subscriber_hash) for trace in self.traces}
        new = [trace for trace in stored.traces if (trace.list_id, trace.subscriber_hash) not in known]
        joined = self.with_traces(new).with_addresses(stored.addresses)
        return joined.model_copy(update={"source_read": self.source_read or stored.source_read})

    def asked_again(self) -> Self:
        """Return the targets with all deletions open, because the contact may have been added again."""
        settled = set(self.settled)
        traces = tuple(trace for trace in self.traces if (trace.list_id, trace.subscriber_hash) not in settled)
        return self.model_copy(update={"traces": traces, "settled": ()})

    def with_settled(self, question: Question, *, deleted: bool) -> Self:
        """Return the targets with the final answer to a deletion."""
        settled = tuple(dict.fromkeys((*self.settled, question.key)))
        deleted_from = (*self.deleted_from, question.list_id) if deleted else self.deleted_from
        return self.model_copy(update={"settled": settled, "deleted_from": tuple(dict.fromkeys(deleted_from))})


def pause_after(attempts: int) -> timedelta:
    """Return the pause after this number of attempts: one minute, doubled each time, at most six hours."""
    return min(_FIRST_PAUSE * 2 ** min(max(attempts - 1, 0), 20), _LONGEST_PAUSE)


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
