"""Processes that may die between any two of their steps, and what each of them sent to Mailchimp.

What does not belong here: what they work at (`world`), what they may send (`words`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, TypeVar, cast

from mailchimp_pipeline.contacts import subscriber_hash as hash_of
from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.sync import BatchAnswer, Ledger, MemberStatus, NewMember, Refusal, Renaming

_T = TypeVar("_T")
_MAILED = (MemberStatus.SUBSCRIBED, MemberStatus.PENDING)


class Died(Exception):
    """The process is dead: nothing that it would still do happens."""


@dataclass
class Life:
    """How many steps a process takes before it dies; None lives on.

    `meanwhile` is what somebody else does, just before step `at` or, where a step is named, before the first such.
    """

    steps: int | None = None
    meanwhile: Callable[[], None] | None = None
    at: int | str = 0
    taken: int = 0
    _lock: Lock = field(default_factory=Lock)

    def step(self, act: Callable[[], _T], name: str = "") -> _T:
        """Take a step, or die instead."""
        with self._lock:
            if self.steps is not None and self.taken >= self.steps:
                raise Died
            meanwhile = self.meanwhile if self.at in {self.taken, name} else None
            self.meanwhile = None if meanwhile else self.meanwhile
            self.taken += 1
        if meanwhile:
            meanwhile()
        return act()


class Mortal:
    """An adapter in the hands of a process: each call is a step of its life, and so is each piece it reads."""

    def __init__(self, adapter: object, life: Life) -> None:
        self._adapter = adapter
        self._life = life

    def __getattr__(self, name: str) -> object:
        return partial(self._call, getattr(self._adapter, name))

    def _call(self, method: Callable[..., object], *arguments: object, **named: object) -> object:
        result = self._life.step(partial(method, *arguments, **named), method.__name__)
        return self._pieces(cast("Iterator[object]", result)) if isinstance(result, Iterator) else result

    def _pieces(self, pieces: Iterator[object]) -> Iterator[object]:
        nothing = object()
        while (piece := self._life.step(partial(next, pieces, nothing))) is not nothing:
            yield piece


class MortalRecords(Mortal):
    """The records of a run; the ledgers that it hands out belong to the same life."""

    def ledger(self, segment: object) -> Ledger:
        """Return the ledger of the segment's audience."""
        made: object = cast("Any", self._adapter).ledger(segment)
        return cast("Ledger", Mortal(made, self._life))


@dataclass(frozen=True)
class Sent:
    """An address that was sent to an audience to be mailed, or to be asked whether it may."""

    list_id: str
    address: str
    status: MemberStatus


class WatchedClient(MailchimpClient):
    """The client, noting whom it was told to sign up before it does so."""

    sent: list[Sent]
    moved: dict[tuple[str, str], str]
    """Former addresses of members by audience and present address."""

    def subscribe(self, list_id: str, members: Sequence[NewMember], *, update_existing: bool) -> BatchAnswer:
        """Note the members, and send them."""
        self.sent += [Sent(list_id, member.subscriber_hash, member.status) for member in members]
        return super().subscribe(list_id, members, update_existing=update_existing)

    def set_member_status(
        self, list_id: str, subscriber_hash: str, status: MemberStatus
    ) -> MemberStatus | Refusal | None:
        """Note the member, and set its status."""
        if status in _MAILED:
            self.sent.append(Sent(list_id, subscriber_hash, status))
        return super().set_member_status(list_id, subscriber_hash, status)

    def rename_member(self, list_id: str, subscriber_hash: str, new_email: str) -> Renaming | Refusal:
        """Move the member, and note where it was first."""
        new = hash_of(new_email)
        self.moved[list_id, new] = self.moved.get((list_id, subscriber_hash), subscriber_hash)
        return super().rename_member(list_id, subscriber_hash, new_email)
