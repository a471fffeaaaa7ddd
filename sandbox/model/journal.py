"""A journal of calls and of what changed about members, in one order: who did what, while which call was under way.

It is kept on request only. It holds addresses, as the members themselves do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sandbox.model.members import Actor, Status


@dataclass(frozen=True, slots=True)
class AskedMember:
    """A member that a call is about, and what the body asks for.

    `address` is that of the member in the path; in a batch it is the same as `email_address`.
    """

    address: str
    email_address: str | None = None
    status: str | None = None
    status_if_new: str | None = None


@dataclass(frozen=True, slots=True)
class CallCame:
    """A call came in."""

    number: int
    method: str
    route: str
    list_id: str | None
    members: tuple[AskedMember, ...]


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call was carried out, or refused; `call` is the number of its `CallCame`."""

    number: int
    call: int
    is_carried_out: bool


@dataclass(frozen=True, slots=True)
class MemberChanged:
    """A member came, went, or got another status or address; `call` is the call of the API that did it, if one did.

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


JournalEntry = CallCame | CallEnded | MemberChanged


class Journal:
    """All entries, numbered from 1."""

    def __init__(self) -> None:
        """Start empty, and keep nothing."""
        self.is_kept = False
        self.entries: list[JournalEntry] = []
        self.current: int | None = None
        """The call that is being carried out, under the lock of the world."""

    def came(self, method: str, route: str, list_id: str | None, members: Sequence[AskedMember]) -> int:
        """Note a call; return its number."""
        number = self._next()
        if self.is_kept:
            self.entries.append(CallCame(number, method, route, list_id, tuple(members)))
        return number

    def ended(self, call: int, *, is_carried_out: bool) -> None:
        """Note how a call ended."""
        if self.is_kept:
            self.entries.append(CallEnded(self._next(), call, is_carried_out))

    def changed(
        self, by: Actor, at: datetime, list_id: str, former: tuple[str, Status | None], now: tuple[str, Status | None]
    ) -> None:
        """Note a change of a member, whose address and status were `former` and are `now`."""
        if self.is_kept and former != now:
            call = self.current if by is Actor.API else None
            entry = MemberChanged(self._next(), call, by, at, list_id, former[0], now[0], former[1], now[1])
            self.entries.append(entry)

    def _next(self) -> int:
        return len(self.entries) + 1
