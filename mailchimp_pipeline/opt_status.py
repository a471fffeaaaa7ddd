"""What a contact told us about e-mail, written down with the address that it is about.

What does not belong here: telling Mailchimp (`withdrawals`, `sync`), what contacts do there (`database.ledger`).
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType, Source, present_addresses, read_contacts
from mailchimp_pipeline.database.addresses import known_address
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.preferences import Contact, Preference, PreferenceStore, Word
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.logs import logger

_log = logger("mailchimp_pipeline.opt_status")


@dataclass(frozen=True, slots=True)
class OptStatuses:
    """Records words. The source is asked where the tables know too little, and may raise where none is set."""

    database: Database
    keyring: Keyring
    source: Callable[[], Source]
    clock: Clock

    def record(self, organisation_id: str, contact: Contact, *, opted_in: bool, source: str, by: str) -> Preference:
        """Keep a contact's word, and where it was said; return what it says now.

        It is the word on its address, too: who has the address no more does not bar it by a former opt-out.
        """
        address = self._address(organisation_id, contact)
        former = self._former_holders(organisation_id, contact, address) if opted_in and address else ()
        word = Word(*contact, opted_in=opted_in, source=source, subscriber_hash=address)
        with self.database.organisation(organisation_id) as session:
            store = PreferenceStore(session, self.keyring)
            at = self.clock()
            if address:
                store.give_up_address(former, address, by=by, at=at)
            return store.record(word, by=by, at=at)

    def _address(self, organisation_id: str, contact: Contact) -> str | None:
        """Return the contact's address as a hash; the source knows it of who is in no segment, as who may not be."""
        with self.database.organisation(organisation_id) as session:
            known = known_address(session, *contact)
        if known is not None:
            return known
        try:
            return next(iter(present_addresses(self.source(), organisation_id, *contact) or ()), None)
        except PipelineError as error:
            # The next sync adds the address; the word itself is to be kept now.
            _log.warning("address unknown", organisation_id=organisation_id, failure=type(error).__name__)
            return None

    def _former_holders(self, organisation_id: str, contact: Contact, address: str) -> Collection[Contact]:
        """Return who opted out at this address and does not have it any more, as far as the source can tell."""
        with self.database.organisation(organisation_id) as session:
            holders = set(PreferenceStore(session, self.keyring).opted_out_at(address)) - {contact}
        if not holders:
            return ()
        try:
            contacts = read_contacts(self.source(), organisation_id, sorted({kind for kind, _ in holders}))
        except PipelineError as error:
            _log.warning("holders unknown", organisation_id=organisation_id, failure=type(error).__name__)
            return ()
        there = contacts[contacts["subscriber_hash"] == address]
        present = zip(map(EntityType, there["entity_type"]), there["entity_id"], strict=True)
        return sorted(holders.difference(present))
