"""The locks, and their 64-bit keys in PostgreSQL.

A key is the start of a hash over the kind and the locked object. An accidental collision (2^-64) causes a wait, never a
wrong result.
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
    """A lock that one session at a time can hold."""

    kind: _Kind
    parts: tuple[str, ...] = ()

    @property
    def key(self) -> int:
        """The lock's key in PostgreSQL, a signed 64-bit integer."""
        name = json.dumps(["mailchimp-pipeline", self.kind, *self.parts])
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)


MIGRATION_LOCK = Lock(_Kind.MIGRATION)
"""Held during a migration."""


def account_lock(account_id: str) -> Lock:
    """Return the lock of a Mailchimp account, held while an organisation connects it or adds an audience."""
    return Lock(_Kind.ACCOUNT, (account_id,))


def audience_lock(organisation_id: str, list_id: str) -> Lock:
    """Return the lock of an audience, held during a sync."""
    return Lock(_Kind.AUDIENCE, (organisation_id, list_id))


def connection_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's connection, held while the connection changes."""
    return Lock(_Kind.CONNECTION, (organisation_id,))


def consent_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's consent statements, held while statements are recorded."""
    return Lock(_Kind.CONSENT, (organisation_id,))


def erased_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's erased contacts: shared by readers, exclusive to an erasure."""
    return Lock(_Kind.ERASED, (organisation_id,))


def erasure_lock(request_id: str) -> Lock:
    """Return the lock of an erasure, held while it runs."""
    return Lock(_Kind.ERASURE, (request_id,))


def run_lock(run_id: str) -> Lock:
    """Return the lock of a run, held while its process works."""
    return Lock(_Kind.RUN, (run_id,))


def slot_lock(account_id: str, slot: int) -> Lock:
    """Return the lock of one of the connections that Mailchimp allows an account."""
    return Lock(_Kind.SLOT, (account_id, str(slot)))


def webhooks_lock(organisation_id: str) -> Lock:
    """Return the lock of an organisation's webhooks, held while they are registered at Mailchimp."""
    return Lock(_Kind.WEBHOOKS, (organisation_id,))
