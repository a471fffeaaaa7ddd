"""Encryption of stored secrets with keys that can be rotated, and keyed hashes of erased contacts.

An encrypted secret, the token, is a JWE (flattened JSON, `dir`, A256GCM) in base64. The protected header names the key.
The associated data is the organisation, so a token copied to another organisation's row cannot be decrypted.

A keyed hash is an HMAC of a contact's address or id. It makes it possible to recognise an erased contact that appears
again, without storing the contact. Each organisation has a random HMAC key, which is stored encrypted like an API key.
Rotating the encryption keys does not change the keyed hashes.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Self

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import PseudonymKeyRow
from mailchimp_pipeline.errors import PermanentError

KEY_BYTES = 32
_ALGORITHMS = ("dir", "A256GCM")
_SETTING = "MAILCHIMP_PIPELINE_ENCRYPTION_KEYS"


class KeyringInvalid(PermanentError):
    """The setting of the encryption keys is invalid."""


class SecretUnreadable(PermanentError):
    """A stored secret cannot be decrypted: its key is missing, or the secret was altered."""


class Keyring:
    """The encryption keys. The first key encrypts; every key can decrypt what it has encrypted."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise KeyringInvalid(f"There is no key to encrypt with. Set {_SETTING} to id:base64; {_how_to_make_one()}.")
        for key_id, key in keys.items():
            if len(key) != KEY_BYTES:
                raise KeyringInvalid(f"Key '{key_id}' in {_SETTING} must have {KEY_BYTES} bytes; {_how_to_make_one()}.")
        self._keys = {key_id: OctKey.import_key(key) for key_id, key in keys.items()}
        self._raw_keys = dict(keys)
        self.current = next(iter(keys))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a setting of the form `id:base64,id:base64`. Raises `KeyringInvalid` if it has no valid keys."""
        keys: dict[str, bytes] = {}
        for place, entry in enumerate(text.split(","), start=1):
            key_id, _, encoded = entry.strip().partition(":")
            if not re.fullmatch(r"[\w.-]{1,32}", key_id, re.ASCII):
                raise KeyringInvalid(
                    f"Key {place} in {_SETTING} must begin with an id (letters, digits, '.', '_', '-') and a colon."
                )
            if key_id in keys:
                raise KeyringInvalid(f"Two keys in {_SETTING} have the id '{key_id}'. Give each an id of its own.")
            keys[key_id] = _decoded(key_id, encoded)
        return cls(keys)

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    def keyed_hashes(self, text: str) -> Sequence[str]:
        """Return the HMACs of the text under each encryption key, in hex. The first is under the current key.

        Unlike the hashes of `KeyedHashes`, they change when the encryption keys are rotated.
        """
        return [hmac.digest(key, f"hash\0{text}".encode(), hashlib.sha256).hex() for key in self._raw_keys.values()]

    def encrypt(self, secret: str, organisation_id: str) -> str:
        """Return the encrypted secret as a token that can be decrypted only for this organisation."""
        envelope = jwe.FlattenedJSONEncryption(_header(self.current), secret.encode(), aad=organisation_id.encode())
        envelope.add_recipient({}, self._keys[self.current])
        sealed = jwe.encrypt_json(envelope, None, algorithms=_ALGORITHMS)
        return base64.b64encode(json.dumps(sealed).encode()).decode()

    def decrypt(self, token: str, organisation_id: str) -> str:
        """Return the secret of a token.

        Raises `SecretUnreadable` if the key is missing, or if the token was altered or belongs to another organisation.
        """
        sealed = _opened(token)
        key_id = key_id_of(token)
        key = self._keys.get(key_id)
        if key is None:
            raise SecretUnreadable(
                f"A stored secret was encrypted with a key that is not in {_SETTING}. Add it again.",
                place=f"key '{key_id}'",
            )
        # The associated data comes from the caller. The token's own copy proves nothing.
        sealed["aad"] = _base64url(organisation_id.encode())
        try:
            opened = jwe.decrypt_json(sealed, key, algorithms=_ALGORITHMS)
        except (JoseError, ValueError) as error:
            raise _altered() from error
        return (opened.plaintext or b"").decode()


def key_id_of(token: str) -> str:
    """Return the id of the key that encrypted the token. Raises `SecretUnreadable` if the token was altered."""
    protected = _opened(token)["protected"]
    try:
        header = json.loads(base64.urlsafe_b64decode(protected + "=" * (-len(protected) % 4)))
        key_id = str(header["kid"])
    except (ValueError, KeyError, TypeError) as error:
        raise _altered() from error
    if header != _header(key_id):
        raise _altered()
    return key_id


def _header(key_id: str) -> dict[str, Any]:
    return {"alg": "dir", "enc": "A256GCM", "kid": key_id}


def _opened(token: str) -> jwe.FlattenedJSONSerialization:
    try:
        sealed = json.loads(base64.b64decode(token, validate=True))
        fields = {name: str(sealed[name]) for name in ("protected", "iv", "ciphertext", "tag", "aad")}
    except (ValueError, KeyError, TypeError) as error:
        raise _altered() from error
    return {
        "protected": fields["protected"],
        "iv": fields["iv"],
        "ciphertext": fields["ciphertext"],
        "tag": fields["tag"],
        "aad": fields["aad"],
        "header": {},
        "encrypted_key": "",
    }


def _altered() -> SecretUnreadable:
    return SecretUnreadable(
        "A stored secret is not what was stored: it was altered, or belongs to another organisation. "
        "Restore the row from a backup, or connect Mailchimp again."
    )


def _decoded(key_id: str, encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise KeyringInvalid(f"Key '{key_id}' in {_SETTING} is not base64; {_how_to_make_one()}.") from None


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _how_to_make_one() -> str:
    return "`openssl rand -base64 32` makes one"


_KEY_BYTES = 32


class KeyedHashes:
    """Computes an organisation's keyed hashes (HMACs) of contacts and addresses, in hex."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of_address(self, subscriber_hash: str) -> str:
        """Return the keyed hash of an address, given as a subscriber hash."""
        return self._hash(f"address\0{subscriber_hash}")

    def of_entity(self, entity_type: EntityType, entity_id: str) -> str:
        """Return the keyed hash of an employee or vendor, given by type and id."""
        return self._hash(f"entity\0{entity_type.value}\0{entity_id}")

    def _hash(self, text: str) -> str:
        return hmac.digest(self._key, text.encode(), hashlib.sha256).hex()


def keyed_hashes(session: OrganisationSession, keyring: Keyring) -> KeyedHashes:
    """Return the object that computes the organisation's keyed hashes.

    The first call creates and stores the organisation's key.
    """
    organisation_id = session.organisation_id
    stored = select(PseudonymKeyRow.key_encrypted).where(PseudonymKeyRow.organisation_id == organisation_id)
    encrypted = session.scalar(stored)
    if encrypted is None:
        made = keyring.encrypt(secrets.token_hex(_KEY_BYTES), organisation_id)
        row = insert(PseudonymKeyRow).values(organisation_id=organisation_id, key_encrypted=made)
        session.execute(row.on_conflict_do_nothing())
        encrypted = session.scalars(stored).one()
    return KeyedHashes(bytes.fromhex(keyring.decrypt(encrypted, organisation_id)))
