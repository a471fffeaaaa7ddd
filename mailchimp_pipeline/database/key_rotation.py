"""Rotation of the encryption keys: re-encrypt every stored secret with the first key of the keyring.

Afterwards the other keys can be removed. A rotation can be repeated, and can run while the pipeline works.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, union
from sqlalchemy.orm import InstrumentedAttribute

from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.encryption import Keyring, SecretUnreadable, key_id_of
from mailchimp_pipeline.database.session import Database, OrganisationSession
from mailchimp_pipeline.database.tables import ConnectionRow, ErasureRequestRow, PseudonymKeyRow, WebhookRow

_Secret = InstrumentedAttribute[str] | InstrumentedAttribute[str | None]

_SECRETS: tuple[tuple[str, type[ConnectionRow | ErasureRequestRow | PseudonymKeyRow | WebhookRow], _Secret], ...] = (
    ("connection", ConnectionRow, ConnectionRow.api_key_encrypted),
    ("erasure_request", ErasureRequestRow, ErasureRequestRow.targets_encrypted),
    ("pseudonym_key", PseudonymKeyRow, PseudonymKeyRow.key_encrypted),
    ("webhook", WebhookRow, WebhookRow.secret_encrypted),
)


@dataclass(frozen=True, slots=True)
class HeldSecrets:
    """The number of stored secrets that can and cannot be decrypted, by key id.

    A secret whose key id cannot be read is counted under `?`.
    """

    readable: Counter[str]
    unreadable: Counter[str]


def held_secrets(database: Database, keyring: Keyring) -> HeldSecrets:
    """Try to decrypt every stored secret, and return how many can be decrypted. Changes nothing."""
    held = HeldSecrets(Counter(), Counter())
    with database.everyone() as session:
        for _, row, secret in _SECRETS:
            for organisation_id, token in session.execute(
                select(row.organisation_id, secret).where(secret.is_not(None))
            ):
                count = held.readable if _reads(keyring, str(token), organisation_id) else held.unreadable
                count[_key_id(str(token))] += 1
    return held


def _reads(keyring: Keyring, token: str, organisation_id: str) -> bool:
    try:
        keyring.decrypt(token, organisation_id)
    except SecretUnreadable:
        return False
    return True


def _key_id(token: str) -> str:
    try:
        return key_id_of(token)
    except SecretUnreadable:
        return "?"


def rotate(database: Database, keyring: Keyring, *, by: str, at: datetime) -> int:
    """Re-encrypt all secrets that are not encrypted with the current key yet. Return how many were re-encrypted.

    The current key is the keyring's first. Each organisation is one transaction, with the rows of its secrets locked.
    Raises `encryption.SecretUnreadable` if a secret cannot be decrypted. Organisations done before stay re-encrypted.
    """
    with database.everyone() as session:
        holders = [select(row.organisation_id).where(secret.is_not(None)) for _, row, secret in _SECRETS]
        organisations = session.scalars(union(*holders)).all()
    rotated = 0
    for organisation_id in sorted(organisations):
        with database.organisation(organisation_id) as session:
            rotated += _rotate(session, keyring, by, at)
    return rotated


def _rotate(session: OrganisationSession, keyring: Keyring, by: str, at: datetime) -> int:
    organisation_id, rotated = session.organisation_id, 0
    for kind, row_type, secret in _SECRETS:
        held = select(row_type).where(row_type.organisation_id == organisation_id, secret.is_not(None))
        for row in session.scalars(held.with_for_update()).all():
            token = str(getattr(row, secret.key))
            if key_id_of(token) == keyring.current:
                continue
            setattr(row, secret.key, keyring.encrypt(keyring.decrypt(token, organisation_id), organisation_id))
            entity = audit_log.Entity(kind, str(getattr(row, "id", organisation_id)))
            keys = {"from": key_id_of(token), "to": keyring.current}
            audit_log.write(session, audit_log.Entry(by, "secret.key_rotated", entity, at, keys))
            rotated += 1
    return rotated
