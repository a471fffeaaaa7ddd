"""Erased contacts, stored as keyed hashes, so that they are recognised and not sent again.

Each hash belongs to the erasure request that created it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import pandas as pd
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from mailchimp_pipeline.consent import Contact
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.contacts.text_columns import text_column
from mailchimp_pipeline.database.bulk import text_array
from mailchimp_pipeline.database.encryption import KeyedHashes, Keyring, keyed_hashes
from mailchimp_pipeline.database.locks import erased_lock, share_for_transaction
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import ErasedContactRow, ErasureRequestRow, row_id

_ADDRESS, _ENTITY = "address", "entity"


@dataclass(frozen=True, slots=True)
class ErasedAmong:
    """The result of `ErasedContacts.among`: which contacts of a data frame, and which addresses, are erased.

    `contacts` are pairs of type and id, `addresses` are subscriber hashes. `hashes` are the stored keyed hashes with
    which the frame was compared.
    """

    contacts: frozenset[tuple[str, str]] = frozenset()
    addresses: frozenset[str] = frozenset()
    hashes: frozenset[tuple[str, str]] = frozenset()

    def parameters(self) -> Mapping[str, str]:
        """Return the erased contacts and addresses as parameters for the SQL of `consent.decision`."""
        contacts = sorted(self.contacts)
        return {
            "erased_addresses": text_array(sorted(self.addresses)),
            "erased_types": text_array(kind for kind, _ in contacts),
            "erased_ids": text_array(entity_id for _, entity_id in contacts),
        }


NOBODY = ErasedAmong()


class ErasedContacts:
    """The keyed hashes of the erased contacts of the session's organisation."""

    def __init__(self, session: OrganisationSession, keyring: Keyring) -> None:
        self._session = session
        self._keyring = keyring

    def add(self, contact: Contact, subscriber_hashes: Iterable[str], *, erasure_request_id: str, at: datetime) -> None:
        """Store the keyed hashes of the contact and of its addresses, as part of the erasure request."""
        hashes: dict[tuple[str, str], str | None] = {(_ENTITY, self.keyed.of_entity(*contact)): contact[0].value}
        hashes |= {(_ADDRESS, self.keyed.of_address(address)): None for address in subscriber_hashes}
        request = {"organisation_id": self._session.organisation_id, "erasure_request_id": row_id(erasure_request_id)}
        rows = [
            {**request, "kind": kind, "keyed_hash": keyed_hash, "entity_type": entity_type, "erased_at": at}
            for (kind, keyed_hash), entity_type in sorted(hashes.items())
        ]
        self._session.execute(insert(ErasedContactRow).values(rows).on_conflict_do_nothing())

    def relations(self) -> frozenset[EntityType]:
        """Return the entity types (employee, vendor) of which the organisation has erased contacts."""
        of_entities = (self._session.owns(ErasedContactRow), ErasedContactRow.entity_type.is_not(None))
        relations = self._session.scalars(select(ErasedContactRow.entity_type).where(*of_entities).distinct())
        return frozenset(map(EntityType, relations))

    def of_addresses(self, subscriber_hashes: Iterable[str]) -> frozenset[str]:
        """Return those of the subscriber hashes that are addresses of erased contacts."""
        erased = self._hashes()
        if not erased:
            return frozenset()
        return frozenset(key for key in subscriber_hashes if (_ADDRESS, self.keyed.of_address(key)) in erased)

    def has_addresses(self, erasure_request_id: str) -> bool:
        """Return whether the keyed hash of an address is stored for the erasure request."""
        return bool(self._addresses_of(erasure_request_id))

    def recognised(self, erasure_request_id: str, subscriber_hashes: Iterable[str]) -> Sequence[str]:
        """Return those of the subscriber hashes that are addresses of the erasure request's contact."""
        kept = self._addresses_of(erasure_request_id)
        return [key for key in subscriber_hashes if self.keyed.of_address(key) in kept]

    def among(self, contacts: pd.DataFrame, known: ErasedAmong | None = None) -> ErasedAmong:
        """Return which of the contacts in the frame are erased, and which of their addresses.

        The frame has entity_type, entity_id and subscriber_hash. The current address of an erased contact counts as
        erased, even if the contact got it after the erasure. `known` is an earlier result for the same contacts, or for
        a frame that includes them. It saves time: only contacts erased since then are searched.
        """
        erased = self._hashes()
        new = erased if known is None else erased - known.hashes
        if not new:
            return known or ErasedAmong()
        columns = (text_column(contacts[name]).to_pylist() for name in ("entity_type", "entity_id", "subscriber_hash"))
        found = known or ErasedAmong()
        entities, addresses = set(found.contacts), set(found.addresses)
        for kind, entity_id, address in zip(*columns, strict=True):
            keyed = self.keyed.of_entity(EntityType(kind), entity_id)
            is_erased = (kind, entity_id) in entities or (_ENTITY, keyed) in new
            if is_erased:
                entities.add((kind, entity_id))
            if address and (is_erased or (_ADDRESS, self.keyed.of_address(address)) in new):
                addresses.add(address)
        return ErasedAmong(frozenset(entities), frozenset(addresses), erased)

    def holds(self, contact: Contact) -> bool:
        """Return whether the contact, given by type and id, is erased."""
        return (_ENTITY, self.keyed.of_entity(*contact)) in self._hashes()

    def lift(self, contact: Contact, addresses: Iterable[str]) -> bool:
        """End the suppression of an erased contact, because it opted in. Return whether the contact was suppressed.

        The contact may then be sent at `addresses`, its current subscriber hashes. Its other erased addresses stay
        erased, and so do addresses that belong to the erasure of another contact.
        """
        entity = self.keyed.of_entity(*contact)
        of_contact = (self._session.owns(ErasureRequestRow), ErasureRequestRow.entity_hash == entity)
        lifted = delete(ErasedContactRow).where(
            self._session.owns(ErasedContactRow),
            ErasedContactRow.erasure_request_id.in_(select(ErasureRequestRow.id).where(*of_contact)),
            ErasedContactRow.keyed_hash.in_([entity, *map(self.keyed.of_address, addresses)]),
        )
        return bool(self._session.scalars(lifted.returning(ErasedContactRow.kind)).all())

    def _addresses_of(self, erasure_request_id: str) -> frozenset[str]:
        query = select(ErasedContactRow.keyed_hash).where(
            self._session.owns(ErasedContactRow),
            ErasedContactRow.erasure_request_id == row_id(erasure_request_id),
            ErasedContactRow.kind == _ADDRESS,
        )
        return frozenset(self._session.scalars(query))

    @cached_property
    def keyed(self) -> KeyedHashes:
        """Computes the organisation's keyed hashes."""
        return keyed_hashes(self._session, self._keyring)

    def _hashes(self) -> frozenset[tuple[str, str]]:
        # No erasure may be added before the caller's transaction has written.
        share_for_transaction(self._session, erased_lock(self._session.organisation_id))
        query = select(ErasedContactRow.kind, ErasedContactRow.keyed_hash).where(self._session.owns(ErasedContactRow))
        return frozenset((kind, keyed_hash) for kind, keyed_hash in self._session.execute(query))
