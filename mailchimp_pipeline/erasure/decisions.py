"""Erasure, decided: where a contact is to be deleted, what is still to be asked, and which answer settles it.

Core: values in, values out. What does not belong here: asking Mailchimp (`asking`), keeping it (`database`),
who may be pushed (`segments`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.sync import MemberRef

_NO_IDS: tuple[None, None] = (None, None)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=6)


class ErasureStatus(StrEnum):
    """How far an erasure has come. Completed is only what Mailchimp confirmed for every audience."""

    PENDING = "pending"
    COMPLETED = "completed"


class Deletion(StrEnum):
    """What became of a permanent deletion at Mailchimp."""

    DELETED = "deleted"
    UNKNOWN = "unknown"
    GONE_UNHEARD = "gone_unheard"
    """Not there, after an attempt whose answer was lost and that may have deleted it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Whom to erase, and who asks for it.

    `addresses` are hashes of those that the source has for the contact now, in every spelling that Mailchimp may have;
    None where it could not be asked.
    `is_known` is false where it was asked, and has no such contact.
    """

    entity_type: EntityType
    entity_id: str
    addresses: tuple[str, ...] | None
    by: str
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """An erasure as it stands. `audiences` counts those where the contact is or was."""

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
        """Tell whether it is pending and should be tried again."""
        if self.status is not ErasureStatus.PENDING:
            return False
        return self.last_tried_at is None or now >= self.last_tried_at + pause_after(self.attempts)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which accounts at Mailchimp an organisation has: one now, and others that cannot be asked any more."""

    is_connected: bool
    had_other_accounts: bool


class Trace(BaseModel):
    """An audience that had the contact at an address, as our ledger knew."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    list_id: str
    subscriber_hash: str
    contact_id: str | None = None
    member_id: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """One address to be deleted from one audience. `was_there`: the audience had it, as far as we know."""

    list_id: str
    subscriber_hash: str
    was_there: bool
    contact_id: str | None = None
    member_id: str | None = None

    @property
    def ref(self) -> MemberRef:
        """The member that it is about."""
        return MemberRef(self.subscriber_hash, self.contact_id, self.member_id)

    @property
    def key(self) -> tuple[str, str]:
        """What it is about: audience and address."""
        return self.list_id, self.subscriber_hash

    def is_settled_by(self, deletion: Deletion) -> bool:
        """Tell whether the answer to the deletion by address is final.

        That an audience does not know an address is no news where it never had it. Where it did, the address may
        have been changed there, and the person be mailed at the new one: the lasting id has to be asked for.
        """
        if deletion is Deletion.DELETED or not self.was_there:
            return True
        return deletion is Deletion.GONE_UNHEARD and self.contact_id is None


class Targets(BaseModel):
    """What an erasure knows of its contact until it is completed. Every address is asked for in every audience."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    entity_type: EntityType
    entity_id: str
    addresses: tuple[str, ...] = ()
    """Hashes of the contact's addresses."""
    traces: tuple[Trace, ...] = ()
    settled: tuple[tuple[str, str], ...] = ()
    """Audience and address of each question with a final answer."""
    deleted_from: tuple[str, ...] = ()
    source_read: bool = False
    """Whether the source was asked for the contact's present address."""

    @property
    def audiences(self) -> int:
        """Count the audiences where the contact is or was."""
        return len({trace.list_id for trace in self.traces} | set(self.deleted_from))

    @property
    def is_anywhere(self) -> bool:
        """Tell whether an audience had the contact and has not confirmed its deletion."""
        return any(question.was_there for question in self.questions(()))

    def questions(self, list_ids: Iterable[str]) -> Sequence[Question]:
        """Return what is still to be asked in these audiences and in those that had the contact, these first."""
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
        """Return them with more addresses of the contact."""
        return self.model_copy(update={"addresses": tuple(sorted({*self.addresses, *subscriber_hashes}))})

    def with_traces(self, traces: Iterable[Trace]) -> Self:
        """Return them with more that the ledger knew; what it knows anew is to be asked anew."""
        known = {(trace.list_id, trace.subscriber_hash): trace for trace in self.traces}
        found = {(trace.list_id, trace.subscriber_hash): trace for trace in traces}
        for key, trace in found.items():
            if key not in known or trace.contact_id:
                known[key] = trace
        settled = tuple(key for key in self.settled if key not in found)
        more = self.model_copy(update={"traces": tuple(known.values()), "settled": settled})
        return more.with_addresses(trace.subscriber_hash for trace in found.values())

    def joined_with(self, stored: Self) -> Self:
        """Return them with what somebody else wrote down meanwhile, who asked for the same erasure again."""
        known = {(trace.list_id, trace.subscriber_hash) for trace in self.traces}
        new = [trace for trace in stored.traces if (trace.list_id, trace.subscriber_hash) not in known]
        joined = self.with_traces(new).with_addresses(stored.addresses)
        return joined.model_copy(update={"source_read": self.source_read or stored.source_read})

    def asked_again(self) -> Self:
        """Return the targets with all questions open: the contact may be back where its deletion was confirmed."""
        settled = set(self.settled)
        traces = tuple(trace for trace in self.traces if (trace.list_id, trace.subscriber_hash) not in settled)
        return self.model_copy(update={"traces": traces, "settled": ()})

    def with_settled(self, question: Question, *, deleted: bool) -> Self:
        """Return the targets with the final answer to a question."""
        settled = tuple(dict.fromkeys((*self.settled, question.key)))
        deleted_from = (*self.deleted_from, question.list_id) if deleted else self.deleted_from
        return self.model_copy(update={"settled": settled, "deleted_from": tuple(dict.fromkeys(deleted_from))})


def pause_after(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts: a minute, then twice as long each time, up to six hours."""
    return min(_FIRST_PAUSE * 2 ** min(max(attempts - 1, 0), 20), _LONGEST_PAUSE)
