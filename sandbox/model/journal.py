"""A journal of calls and member changes in one order, with the call that made each change.

The sandbox records it on request only. It contains addresses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sandbox.model.members import Actor, Status


@dataclass(frozen=True, slots=True)
class RequestedMember:
    """A member in a request, with the requested values.

    `address` is the address of the member in the path; in a batch it equals `email_address`.
    """

    address: str
    email_address: str | None = None
    status: str | None = None
    status_if_new: str | None = None


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call arrived."""

    number: int
    method: str
    route: str
    list_id: str | None
    members: tuple[RequestedMember, ...]


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call was processed or rejected. `call` is the number of its `CallStarted`."""

    number: int
    call: int
    is_processed: bool


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member was added, deleted, or got another status or address.

    `call` is the API call that made the change, if any.
    `former_status` is None for a new member, `status` for a deleted one.
    """

    number: int
    call: int | None
    by: Actor
    at: datetime
    list_id: str
    former_address: str
    address: str
    former_status: Status | None
    status: Status | None


JournalEntry = CallStarted | CallEnded | MemberChanged


class Journal:
    """All entries, numbered from 1."""

    def __init__(self) -> None:
        """Start empty, without recording."""
        self.is_kept = False
        self.entries: list[JournalEntry] = []
        self.current: int | None = None
        """The call in progress. Guarded by the sandbox's lock."""

    def started(self, method: str, route: str, list_id: str | None, members: Sequence[RequestedMember]) -> int:
        """Record the start of a call and return its number."""
        number = self._next()
        if self.is_kept:
            self.entries.append(CallStarted(number, method, route, list_id, tuple(members)))
        return number

    def ended(self, call: int, *, is_processed: bool) -> None:
        """Record the end of a call."""
        if self.is_kept:
            self.entries.append(CallEnded(self._next(), call, is_processed))

    def changed(
        self, by: Actor, at: datetime, list_id: str, former: tuple[str, Status | None], now: tuple[str, Status | None]
    ) -> None:
        """Record a member change from the address and status `former` to `now`."""
        if self.is_kept and former != now:
            call = self.current if by is Actor.API else None
            entry = MemberChanged(self._next(), call, by, at, list_id, former[0], now[0], former[1], now[1])
            self.entries.append(entry)

    def _next(self) -> int:
        return len(self.entries) + 1
