"""An erasure request: what to delete at Mailchimp, which answers settle a deletion, and the interfaces of erasures.

This module has no side effects.
"""

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
    """The status of an erasure. It is completed once nothing is left to delete at Mailchimp."""

    PENDING = "pending"
    COMPLETED = "completed"


class Deletion(StrEnum):
    """Mailchimp's answer to a permanent deletion."""

    DELETED = "deleted"
    UNKNOWN = "unknown"
    """The audience does not have the member."""
    GONE_UNHEARD = "gone_unheard"
    """The audience does not have the member, but an earlier call whose answer was lost may have deleted it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a user asks for: erase the contact with this type and id. `by` is the user.

    `addresses` has the subscriber hashes of the contact's current addresses in the source, in every spelling that
    Mailchimp may have. It is None if the source could not be read. `is_known` is false if the source was read and does
    not have the contact.
    """

    entity_type: EntityType
    entity_id: str
    addresses: tuple[str, ...] | None
    by: str
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """The stored state of an erasure. `audiences` is the number of audiences that have or had the contact.

    `attempts` counts the attempts to delete the contact at Mailchimp.
    """

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
        """Return whether the erasure is pending and the pause after its last attempt is over."""
        if self.status is not ErasureStatus.PENDING:
            return False
        return self.last_tried_at is None or now >= self.last_tried_at + pause_after(self.attempts)


@dataclass(frozen=True, slots=True)
class AccountHistory:
    """Whether an organisation is connected to a Mailchimp account now, and whether it used other accounts before."""

    is_connected: bool
    had_other_accounts: bool


class Trace(BaseModel):
    """A place where the contact is or was at Mailchimp: an audience and an address, as recorded by the pipeline.

    `contact_id` and `member_id` are Mailchimp's ids, as in `sync.MemberRef`.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    list_id: str
    subscriber_hash: str
    contact_id: str | None = None
    member_id: str | None = None


@dataclass(frozen=True, slots=True)
class OpenDeletion:
    """An address that is still to be deleted from an audience.

    `was_there` says whether the pipeline recorded the contact there. If not, the deletion is a precaution.
    """

    list_id: str
    subscriber_hash: str
    was_there: bool
    contact_id: str | None = None
    member_id: str | None = None

    @property
    def ref(self) -> MemberRef:
        """The ids of the member to delete."""
        return MemberRef(self.subscriber_hash, self.contact_id, self.member_id)

    @property
    def key(self) -> tuple[str, str]:
        """The audience id and the subscriber hash."""
        return self.list_id, self.subscriber_hash

    def is_settled_by(self, deletion: Deletion) -> bool:
        """Return whether Mailchimp's answer to the deletion by address is final.

        If the contact was never recorded there, any answer is final. Otherwise an unknown address may mean that the
        contact has changed its address, and it must be searched by its contact id.
        """
        if deletion is Deletion.DELETED or not self.was_there:
            return True
        return deletion is Deletion.GONE_UNHEARD and self.contact_id is None


class Targets(BaseModel):
    """What an erasure has to delete at Mailchimp: every address of the contact, from every audience."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    entity_type: EntityType
    entity_id: str
    addresses: tuple[str, ...] = ()
    """Subscriber hashes of the contact's addresses."""
    traces: tuple[Trace, ...] = ()
    """The audiences and addresses where the contact is or was."""
    settled: tuple[tuple[str, str], ...] = ()
    """The deletions with a final answer, as pairs of audience id and subscriber hash."""
    deleted_from: tuple[str, ...] = ()
    """The ids of the audiences from which the contact was deleted."""
    source_read: bool = False
    """Whether the contact's current address was read from the source."""

    @property
    def audiences(self) -> int:
        """The number of audiences that have or had the contact."""
        return len({trace.list_id for trace in self.traces} | set(self.deleted_from))

    @property
    def is_anywhere(self) -> bool:
        """Whether an audience had the contact and has not confirmed its deletion."""
        return any(open_deletion.was_there for open_deletion in self.open_deletions(()))

    def open_deletions(self, list_ids: Iterable[str]) -> Sequence[OpenDeletion]:
        """Return the deletions without a final answer.

        Those from audiences that had the contact come first, then those from the audiences `list_ids`.
        """
        traces = {(trace.list_id, trace.subscriber_hash): trace for trace in self.traces}
        ids = {key: (trace.contact_id, trace.member_id) for key, trace in traces.items()}
        had = dict.fromkeys(trace.list_id for trace in self.traces)
        everywhere = [(list_id, address) for list_id in (had | dict.fromkeys(list_ids)) for address in self.addresses]
        settled = set(self.settled)
        return [
            OpenDeletion(
                *key, was_there=key in traces, contact_id=ids.get(key, _NO_IDS)[0], member_id=ids.get(key, _NO_IDS)[1]
            )
            for key in everywhere
            if key not in settled
        ]

    def with_addresses(self, subscriber_hashes: Iterable[str]) -> Self:
        """Return a copy with further addresses of the contact."""
        return self.model_copy(update={"addresses": tuple(sorted({*self.addresses, *subscriber_hashes}))})

    def with_traces(self, traces: Iterable[Trace]) -> Self:
        """Return a copy with further places where the contact is or was.

        A place from which the contact was already deleted is open again.
        """
        known = {(trace.list_id, trace.subscriber_hash): trace for trace in self.traces}
        found = {(trace.list_id, trace.subscriber_hash): trace for trace in traces}
        for key, trace in found.items():
            if key not in known or trace.contact_id:
                known[key] = trace
        settled = tuple(key for key in self.settled if key not in found)
        more = self.model_copy(update={"traces": tuple(known.values()), "settled": settled})
        return more.with_addresses(trace.subscriber_hash for trace in found.values())

    def joined_with(self, stored: Self) -> Self:
        """Return a copy with the addresses and places of `stored`, which a parallel request has stored meanwhile."""
        known = {(trace.list_id, trace.subscriber_hash) for trace in self.traces}
        new = [trace for trace in stored.traces if (trace.list_id, trace.subscriber_hash) not in known]
        joined = self.with_traces(new).with_addresses(stored.addresses)
        return joined.model_copy(update={"source_read": self.source_read or stored.source_read})

    def asked_again(self) -> Self:
        """Return a copy in which all deletions are open again, because the contact may have been added again."""
        settled = set(self.settled)
        traces = tuple(trace for trace in self.traces if (trace.list_id, trace.subscriber_hash) not in settled)
        return self.model_copy(update={"traces": traces, "settled": ()})

    def with_settled(self, open_deletion: OpenDeletion, *, deleted: bool) -> Self:
        """Return a copy in which the deletion has a final answer. `deleted` says whether it deleted the contact."""
        settled = tuple(dict.fromkeys((*self.settled, open_deletion.key)))
        deleted_from = (*self.deleted_from, open_deletion.list_id) if deleted else self.deleted_from
        return self.model_copy(update={"settled": settled, "deleted_from": tuple(dict.fromkeys(deleted_from))})


def pause_after(attempts: int) -> timedelta:
    """Return the pause before the next attempt: one minute after the first, then doubled each time up to six hours."""
    return min(_FIRST_PAUSE * 2 ** min(max(attempts - 1, 0), 20), _LONGEST_PAUSE)


class ErasureAudiences(Protocol):
    """The audiences of one Mailchimp account. Every call may raise `TransientError` or `PermanentError`."""

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
        """Delete the member permanently, and return Mailchimp's answer."""
        ...


class AttemptRecords(Protocol):
    """The stored state of an erasure during an attempt. Every call is its own transaction."""

    def audiences_known(self, request: ErasureRequest) -> Sequence[str]:
        """Return the ids of all audiences that the database knows of the organisation, in any account."""
        ...

    def keeps_addresses(self, request: ErasureRequest) -> bool:
        """Return whether keyed hashes of the contact's addresses are stored."""
        ...

    def recognised(self, request: ErasureRequest, subscriber_hashes: Iterable[str]) -> Sequence[str]:
        """Return those of the subscriber hashes that are addresses of the contact, found by their keyed hashes."""
        ...

    def hold_audience(self, request: ErasureRequest, list_id: str) -> AbstractContextManager[None]:
        """Hold the audience's lock during a `with` block. Raises `TransientError` if a sync of it is running."""
        ...

    def save(self, request: ErasureRequest, targets: Targets, *, error: str | None = None) -> None:
        """Store the targets, which have the progress of the attempt, and its error."""
        ...

    def remove_new_rows(self, request: ErasureRequest, targets: Targets, list_id: str) -> Targets:
        """Remove rows about the contact that a sync of the audience has written since the request.

        Return the targets with the addresses found in the removed rows.
        """
        ...


class ErasureRecords(AttemptRecords, Protocol):
    """The stored erasures of all organisations. Every call is its own transaction."""

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
        """Hold the erasure's lock during a `with` block. Raises `TransientError` if another process holds it."""
        ...

    def begin(self, request: ErasureRequest) -> Targets | None:
        """Count an attempt. Return what is left to delete, None if the erasure is not pending."""
        ...

    def conclude(self, request: ErasureRequest, targets: Targets) -> bool:
        """Complete the erasure, unless something is left to delete at Mailchimp. Return whether it is completed."""
        ...

    def account_history(self, organisation_id: str) -> AccountHistory:
        """Return whether the organisation is connected now, and whether it used other accounts before."""
        ...
