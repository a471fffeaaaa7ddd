"""Keyed hashes of erased contacts. They recognise a contact that appears again, but do not reveal it.

Each organisation has a random key, stored encrypted like API keys. Rotating the encryption keys does not change the
hashes. What does not belong here: which contacts are erased (`erased_contacts`).
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
    """Computes an organisation's keyed hashes, in hex. The hashes of an address and of an entity always differ."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_address(self, subscriber_hash: str) -> str:
        """Return the keyed hash of an address, given as a subscriber hash."""
        return self._hash(f"address\0{subscriber_hash}")

    def of_entity(self, entity_type: EntityType, entity_id: str) -> str:
        """Return the keyed hash of an employee or vendor."""
        return self._hash(f"entity\0{entity_type.value}\0{entity_id}")

    def _hash(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), hashlib.sha256).hex()


def keyed_hashes(session: OrganisationSession, keyring: Keyring) -> KeyedHashes:
    """Return the organisation's keyed hashes. The first call creates the organisation's key."""
    organisation_id = session.organisation_id
    stored = select(PseudonymKeyRow.key_encrypted).where(PseudonymKeyRow.organisation_id == organisation_id)
    encrypted = session.scalar(stored)
    if encrypted is None:
        made = keyring.encrypt(secrets.token_hex(_KEY_BYTES), organisation_id)
        row = insert(PseudonymKeyRow).values(organisation_id=organisation_id, key_encrypted=made)
        session.execute(row.on_conflict_do_nothing())
        encrypted = session.scalars(stored).one()
    return KeyedHashes(bytes.fromhex(keyring.decrypt(encrypted, organisation_id)))
