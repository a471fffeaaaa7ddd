"""Record a contact's opt-in or opt-out."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.consent import ConsentStatement, Contact, Preference
from mailchimp_pipeline.contacts import Source, present_addresses
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.consent_statements import record_statements
from mailchimp_pipeline.database.contact_data import is_known, known_address
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.locks import consent_lock, lock_for_transaction
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.erasure import UnknownContact
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.logs import logger

_log = logger("mailchimp_pipeline.services")


@dataclass(frozen=True, slots=True)
class UpdateOptStatus:
    """Records opt-ins and opt-outs. `source` returns the source of contacts, or raises an error if none is set."""

    database: Database
    keyring: Keyring
    source: Callable[[], Source]
    clock: Clock

    def record(
        self, organisation_id: str, contact: Contact, *, opted_in: bool, consent_source: str, by: str
    ) -> Preference:
        """Record that the contact opted in or out, in the name of the actor `by`. Return the contact's preference.

        The statement applies to the contact and to its current addresses in the source. An opt-in also lifts earlier
        erasures of the contact. Raises `UnknownContact` if neither the source nor the database has the contact.
        """
        addresses = self._addresses(organisation_id, contact)
        with self.database.organisation(organisation_id) as session:
            # The consent lock comes before the lock of erased contacts, as everywhere.
            lock_for_transaction(session, consent_lock(organisation_id))
            erased = ErasedContacts(session, self.keyring)
            if addresses is None and not is_known(session, contact) and not erased.holds(contact):
                raise UnknownContact(contact[0].value)
            at = self.clock()
            statements = [
                ConsentStatement(
                    opted_in=opted_in,
                    source=consent_source,
                    stated_at=at,
                    contact=contact,
                    subscriber_hash=address,
                )
                for address in addresses
                or (None if addresses is None and opted_in else known_address(session, *contact),)
            ]
            record_statements(session, self.keyring, statements, by=by, at=at)
            if opted_in and erased.lift(contact, addresses or ()):
                entity = audit_log.contact_entity(session, self.keyring, contact)
                audit_log.write(session, audit_log.Entry(by, "erasure.lifted", entity, at))
            preference = PreferenceStore(session).get(*contact)
        if preference is None:
            raise LookupError("a recorded statement has no preference")
        return preference

    def _addresses(self, organisation_id: str, contact: Contact) -> Collection[str] | None:
        """Return the subscriber hashes of the contact's addresses in the source, or None if it has no such contact.

        If the source cannot be read, there are no hashes, and the statement is recorded anyway.
        """
        try:
            return present_addresses(self.source(), organisation_id, *contact)
        except PipelineError as error:
            _log.warning("source not read", organisation_id=organisation_id, failure=type(error).__name__)
            return ()
