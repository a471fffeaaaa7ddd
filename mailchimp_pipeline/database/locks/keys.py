"""What locks there are, and the 64-bit numbers by which PostgreSQL knows them.

A number is the head of a hash over the kind and what is locked: kinds never share one but by a chance of 2^-64,
and a chance hit costs a wait, not a wrong result.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum


class _Kind(StrEnum):
    ACCOUNT = "account"
    AUDIENCE = "audience"
    CONNECTION = "connection"
    CONSENT = "consent"
    ERASED = "erased"
    ERASURE = "erasure"
    MIGRATION = "migration"
    RUN = "run"
    SLOT = "slot"
    WEBHOOKS = "webhooks"


@dataclass(frozen=True, slots=True)
class Lock:
    """One thing that one session at a time may hold."""

    kind: _Kind
    parts: tuple[str, ...] = ()

    @property
    def key(self) -> int:
        """The number that PostgreSQL locks: signed, 64 bits."""
        name = json.dumps(["mailchimp-pipeline", self.kind, *self.parts])
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


MIGRATION_LOCK = Lock(_Kind.MIGRATION)
"""Held while the tables are made or changed."""


def account_lock(account_id: str) -> Lock:
    """Return the lock of a Mailchimp account, held while an organisation connects it or begins to feed an audience."""
    return Lock(_Kind.ACCOUNT, (account_id,))


def audience_lock(organisation_id: str, list_id: str) -> Lock:
    """Return the lock of an audience, held while something is synced into it."""
    return Lock(_Kind.AUDIENCE, (organisation_id, list_id))


def connection_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's connection, held while it is made, changed or ended."""
    return Lock(_Kind.CONNECTION, (organisation_id,))


def consent_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's consent statements, held while one is recorded."""
    return Lock(_Kind.CONSENT, (organisation_id,))


def erased_lock(organisation_id: str) -> Lock:
    """Return the lock of who is erased: shared by who looks that up before it writes, held alone by an erasure."""
    return Lock(_Kind.ERASED, (organisation_id,))


def erasure_lock(request_id: str) -> Lock:
    """Return the lock of an erasure, held while somebody carries it out."""
    return Lock(_Kind.ERASURE, (request_id,))


def run_lock(run_id: str) -> Lock:
    """Return the lock of a run, held as long as its process works."""
    return Lock(_Kind.RUN, (run_id,))


def slot_lock(account_id: str, slot: int) -> Lock:
    """Return the lock of one of the connections that Mailchimp allows an account."""
    return Lock(_Kind.SLOT, (account_id, str(slot)))


def webhooks_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's webhooks, held while they are made at Mailchimp."""
    return Lock(_Kind.WEBHOOKS, (organisation_id,))
