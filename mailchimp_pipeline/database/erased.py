"""Contacts that were erased, known by keyed hashes alone, so that they are never pushed again.

What does not belong here: what an erasure does (`erasure_requests` and Mailchimp), how hashes are made (`pseudonyms`).
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cached_property

import pandas as pd
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.locks.held import share_for_transaction
from mailchimp_pipeline.database.locks.keys import erased_lock
from mailchimp_pipeline.database.pseudonyms import Pseudonyms, pseudonyms
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import ErasedContactRow, row_id

_ADDRESS, _ENTITY = "address", "entity"


class ErasedContacts:
    """The erased contacts of the session's organisation."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring

    def add(
        self,
        entity: tuple[EntityType, str],
        subscriber_hashes: Iterable[str],
        *,
        erasure_request_id: str,
        at: datetime,
    ) -> None:
        """Remember the entity and its addresses as erased by the request."""
        hashes = {(_ENTITY, self._pseudonyms.of_entity(*entity))}
        hashes |= {(_ADDRESS, self._pseudonyms.of_address(address)) for address in subscriber_hashes}
        request, organisation_id = row_id(erasure_request_id), self._session.organisation_id
        rows = [
            {
                "organisation_id": organisation_id,
                "kind": kind,
                "keyed_hash": keyed_hash,
                "erasure_request_id": request,
                "erased_at": at,
            }
            for kind, keyed_hash in sorted(hashes)
        ]
        self._session.execute(insert(ErasedContactRow).values(rows).on_conflict_do_nothing())

    def any(self) -> bool:
        """Tell whether anybody was erased."""
        return bool(self._hashes())

    def of_addresses(self, subscriber_hashes: Iterable[str]) -> frozenset[str]:
        """Return which of the addresses, given as Mailchimp's hashes, are erased."""
        erased = self._hashes()
        if not erased:
            return frozenset()
        return frozenset(key for key in subscriber_hashes if (_ADDRESS, self._pseudonyms.of_address(key)) in erased)

    def keeps_addresses(self, erasure_request_id: str) -> bool:
        """Tell whether any address of the request's contact is kept."""
        return bool(self._addresses_of(erasure_request_id))

    def recognised(self, erasure_request_id: str, subscriber_hashes: Iterable[str]) -> Sequence[str]:
        """Return which of the addresses, given as Mailchimp's hashes, are those of the request's contact."""
        kept = self._addresses_of(erasure_request_id)
        return [key for key in subscriber_hashes if self._pseudonyms.of_address(key) in kept]

    def among(self, contacts: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
        """Return whose entity is erased, and whose address: contacts have entity_type, entity_id, subscriber_hash."""
        erased = self._hashes()
        nobody = pd.Series(data=False, index=contacts.index)
        if not erased:
            return nobody, nobody
        entities = [
            (_ENTITY, self._pseudonyms.of_entity(EntityType(kind), entity_id)) in erased
            for kind, entity_id in zip(contacts["entity_type"], contacts["entity_id"], strict=True)
        ]
        addresses = [
            isinstance(address, str) and (_ADDRESS, self._pseudonyms.of_address(address)) in erased
            for address in contacts["subscriber_hash"]
        ]
        return pd.Series(entities, index=contacts.index), pd.Series(addresses, index=contacts.index)

    def spared(self, contacts: pd.DataFrame) -> pd.DataFrame:
        """Return the contacts that are not erased, neither by entity nor by address."""
        entities, addresses = self.among(contacts)
        return contacts[~(entities | addresses)]

    def holds(self, entity: tuple[EntityType, str]) -> bool:
        """Tell whether the entity is erased."""
        return (_ENTITY, self._pseudonyms.of_entity(*entity)) in self._hashes()

    def lift(self, entity: tuple[EntityType, str], subscriber_hash: str | None) -> bool:
        """Forget the erasure of this entity and of this address: the contact came back by its own word.

        Return whether there was one.
        """
        hashes = [self._pseudonyms.of_entity(*entity)]
        if subscriber_hash is not None:
            hashes.append(self._pseudonyms.of_address(subscriber_hash))
        ours = ErasedContactRow.organisation_id == self._session.organisation_id
        requests = select(ErasedContactRow.erasure_request_id).where(ours, ErasedContactRow.keyed_hash.in_(hashes))
        lifted = delete(ErasedContactRow).where(ours, ErasedContactRow.erasure_request_id.in_(requests))
        return bool(self._session.scalars(lifted.returning(ErasedContactRow.kind)).all())

    def _addresses_of(self, erasure_request_id: str) -> frozenset[str]:
        query = select(ErasedContactRow.keyed_hash).where(
            ErasedContactRow.organisation_id == self._session.organisation_id,
            ErasedContactRow.erasure_request_id == row_id(erasure_request_id),
            ErasedContactRow.kind == _ADDRESS,
        )
        return frozenset(self._session.scalars(query))

    @cached_property
    def _pseudonyms(self) -> Pseudonyms:
        return pseudonyms(self._session, self._keyring)

    def _hashes(self) -> frozenset[tuple[str, str]]:
        # Whoever looks who is erased goes on to write: no erasure may come in between.
        share_for_transaction(self._session, erased_lock(self._session.organisation_id))
        query = select(ErasedContactRow.kind, ErasedContactRow.keyed_hash).where(
            ErasedContactRow.organisation_id == self._session.organisation_id
        )
        return frozenset((kind, keyed_hash) for kind, keyed_hash in self._session.execute(query))
