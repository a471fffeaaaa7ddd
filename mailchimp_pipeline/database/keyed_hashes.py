"""Keyed hashes: an erased contact can be known again when it turns up, but not be read from the database.

The key is random, one an organisation, and stored encrypted as API keys are: keys of the ring may be rotated and
thrown away, the hashes stay comparable. What does not belong here: who is erased (`erased_contacts`).
"""

import hashlib
import hmac
import secrets

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import PseudonymKeyRow

_KEY_BYTES = 32


class KeyedHashes:
    """Makes an organisation's keyed hashes, in hex. Address and entity never share one."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_address(self, subscriber_hash: str) -> str:
        """Return the hash of an address, given as Mailchimp's hash of it."""
        return self._hash(f"address\0{subscriber_hash}")

    def of_entity(self, entity_type: EntityType, entity_id: str) -> str:
        """Return the hash of an employee or vendor."""
        return self._hash(f"entity\0{entity_type.value}\0{entity_id}")

    def _hash(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), hashlib.sha256).hex()


def keyed_hashes(session: OrganisationSession, keyring: Keyring) -> KeyedHashes:
    """Return the organisation's keyed hashes; the first time their key is made."""
    organisation_id = session.organisation_id
    stored = select(PseudonymKeyRow.key_encrypted).where(PseudonymKeyRow.organisation_id == organisation_id)
    encrypted = session.scalar(stored)
    if encrypted is None:
        made = keyring.encrypt(secrets.token_hex(_KEY_BYTES), organisation_id)
        row = insert(PseudonymKeyRow).values(organisation_id=organisation_id, key_encrypted=made)
        session.execute(row.on_conflict_do_nothing())
        encrypted = session.scalars(stored).one()
    return KeyedHashes(bytes.fromhex(keyring.decrypt(encrypted, organisation_id)))
