"""A process that dies, or beside which somebody does something, at any step: a transaction's begin or end, a call.

The seams are those of every process: `Database`, and the connections of the Mailchimp client.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.mailchimp import ConnectionSlots


class Died(Exception):
    """The process is dead: nothing that it would still do happens."""


@dataclass
class CrashAfter:
    """How many steps a process takes before it dies; None lives on.

    `meanwhile` happens once, before the first step from `at` on that no transaction of the process would wait for.
    """

    steps: int | None = None
    meanwhile: Callable[[], object] | None = None
    at: int = 0
    taken: int = 0
    _lock: Lock = field(default_factory=Lock)

    def step(self, *, is_commit: bool = False) -> None:
        """Take a step, or die instead."""
        with self._lock:
            if self.has_died:
                raise Died
            meanwhile = self.meanwhile if self.taken >= self.at and not is_commit else None
            self.meanwhile = None if meanwhile else self.meanwhile
            self.taken += 1
        if meanwhile:
            meanwhile()

    @property
    def has_died(self) -> bool:
        """Whether the process took all the steps it was given."""
        return self.steps is not None and self.taken >= self.steps


class CrashingDatabase(Database):
    """A database in the hands of a process that may die before a transaction, or before its commit."""

    def __init__(self, database: Database, crash: CrashAfter) -> None:
        self._database = database
        self._crash = crash

    @contextmanager
    def organisation(self, organisation_id: str) -> Generator[OrganisationSession]:
        """Open a transaction for one organisation."""
        self._crash.step()
        with self._database.organisation(organisation_id) as session:
            yield session
            self._crash.step(is_commit=True)

    @contextmanager
    def everyone(self) -> Generator[Session]:
        """Open a transaction that reads over all organisations."""
        self._crash.step()
        with self._database.everyone() as session:
            yield session

    @contextmanager
    def unrestricted(self) -> Generator[Connection]:
        """Open a connection bound by no policy."""
        self._crash.step()
        with self._database.unrestricted() as connection:
            yield connection

    @contextmanager
    def dedicated(self) -> Generator[Connection]:
        """Open a connection of its own; a dead process holds none of its locks."""
        self._crash.step()
        with self._database.dedicated() as connection:
            yield connection

    @contextmanager
    def translated_errors(self) -> Generator[None]:
        """Turn what the driver raises into errors that a person can act on."""
        with self._database.translated_errors():
            yield

    def close(self) -> None:
        """Leave the connections to the database itself."""


@dataclass(frozen=True)
class CrashingSlots:
    """Connections to Mailchimp of a process that may die before a call, or before it has noted the answer."""

    slots: ConnectionSlots
    crash: CrashAfter

    @contextmanager
    def slot(self) -> Generator[None]:
        """Hold one connection."""
        self.crash.step()
        with self.slots.slot():
            yield
        self.crash.step()
