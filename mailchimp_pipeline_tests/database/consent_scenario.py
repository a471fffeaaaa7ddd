"""An organisation whose contacts make consent statements."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd
from psycopg import sql

from mailchimp_pipeline.consent import MAILCHIMP, Channel, ConsentStatement, Contact, Preference
from mailchimp_pipeline.consent.decision import EXCLUSION
from mailchimp_pipeline.contacts import EntityType, Source, read_contacts, subscriber_hash
from mailchimp_pipeline.database.bulk import text_array
from mailchimp_pipeline.database.connection_store import ConnectionStore
from mailchimp_pipeline.database.consent_statements import record_current_addresses, record_statements
from mailchimp_pipeline.database.contact_data import contact_data
from mailchimp_pipeline.database.erased_contacts import ErasedAmong, ErasedContacts
from mailchimp_pipeline.database.erasure_store import ErasureStore
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.database.records import DatabaseRecords
from mailchimp_pipeline.database.session import Database, driver_connection
from mailchimp_pipeline.erasure import Demand, ErasureRequest
from mailchimp_pipeline.services.update_opt_status import UpdateOptStatus
from mailchimp_pipeline_tests.database.builders import ACME, AT, KEYRING, LIST, a_connection
from mailchimp_pipeline_tests.source_fake import FakeSource, a_vendor, an_employee, rows

ANN: Contact = (EntityType.EMPLOYEE, "1")
BOB: Contact = (EntityType.EMPLOYEE, "2")
VENDOR: Contact = (EntityType.VENDOR, "1")
OTHER_LIST = "f6e5d4c3b2"


def direct_statement(
    contact: Contact | None, email: str | None = None, *, opted_in: bool = False, at: datetime = AT
) -> ConsentStatement:
    """Return a statement made to the organisation."""
    return ConsentStatement(opted_in, "letter", at, contact, None if email is None else subscriber_hash(email))


def mailchimp_statement(
    email: str,
    contact: Contact | None = None,
    *,
    opted_in: bool = False,
    at: datetime = AT,
    list_id: str = LIST,
) -> ConsentStatement:
    """Return a statement made in an audience."""
    channel = Channel.FORM if opted_in else Channel.LINK
    return ConsentStatement(opted_in, MAILCHIMP, at, contact, subscriber_hash(email), list_id, channel)


@dataclass
class Organisation:
    """A connected organisation. `staff` contains the source's current contacts with their addresses."""

    database: Database
    organisation_id: str = ACME
    staff: dict[Contact, str] = field(default_factory=dict[Contact, str])
    now: datetime = AT

    def __post_init__(self) -> None:
        a_connection(self.database, self.organisation_id)

    @property
    def records(self) -> DatabaseRecords:
        return DatabaseRecords(self.database, KEYRING, lambda: self.now)

    @property
    def source(self) -> Source:
        """The current source. Each relation has at least one contact."""
        ours = {"organisation_id": self.organisation_id}
        people = {
            EntityType.EMPLOYEE: [an_employee(**ours, id="90", email="employee@keeper.test")],
            EntityType.VENDOR: [a_vendor(**ours, id="90", email="vendor@keeper.test")],
        }
        for (kind, entity_id), email in self.staff.items():
            row = an_employee if kind is EntityType.EMPLOYEE else a_vendor
            people[kind].append(row(**ours, id=entity_id, email=email))
        return FakeSource({kind: rows(*theirs) for kind, theirs in people.items()})

    def contacts(self) -> pd.DataFrame:
        return read_contacts(self.source, self.organisation_id, EntityType)

    def require_consent(self) -> None:
        with self.database.organisation(self.organisation_id) as session:
            ConnectionStore(session, KEYRING).set_opt_in_only(opt_in_only=True, by="alice", at=self.now)

    def record(self, *statements: ConsentStatement) -> int:
        """Record the statements at once and return the number of new ones."""
        with self.database.organisation(self.organisation_id) as session:
            return record_statements(session, KEYRING, statements, by="alice", at=self.now)

    def record_addresses(self) -> None:
        """Record the source's current addresses, as a sync does."""
        with self.database.organisation(self.organisation_id) as session:
            record_current_addresses(session, KEYRING, self.contacts(), at=self.now)

    def update(self, contact: Contact, *, opted_in: bool) -> Preference:
        """Record a preference that the contact states to the organisation now."""
        use_case = UpdateOptStatus(self.database, KEYRING, lambda: self.source, lambda: self.now)
        return use_case.record(self.organisation_id, contact, opted_in=opted_in, consent_source="letter", by="alice")

    def erase(self, contact: Contact) -> ErasureRequest:
        """Erase the contact from the tables, without Mailchimp."""
        email = self.staff.get(contact)
        addresses = () if email is None else (subscriber_hash(email),)
        demand = Demand(*contact, addresses, by="alice", is_known=email is not None)
        with self.database.organisation(self.organisation_id) as session:
            return ErasureStore(session, KEYRING).ask(demand, at=self.now)

    def erased(self) -> ErasedAmong:
        with self.database.organisation(self.organisation_id) as session:
            return ErasedContacts(session, KEYRING).among(self.contacts())

    def exclusion(self, contact: Contact, email: str) -> str | None:
        """Return the reason to exclude the contact at this address, or None."""
        with self.database.organisation(self.organisation_id) as session:
            about = pd.DataFrame([(*contact, subscriber_hash(email))], columns=_ABOUT, dtype="str")
            erased = ErasedContacts(session, KEYRING).among(pd.concat([self.contacts()[_ABOUT], about]))
            parameters = {"organisation_id": self.organisation_id, **_arrays(about), **erased.parameters()}
            ((found,),) = driver_connection(session).execute(_EXCLUSION, parameters).fetchall()
        return None if found is None else str(found)

    def preference(self, contact: Contact) -> Preference | None:
        with self.database.organisation(self.organisation_id) as session:
            return PreferenceStore(session).get(*contact)

    def statements(self, contact: Contact, *emails: str) -> Collection[ConsentStatement]:
        """Return the contact's statements, and those of these addresses without a contact."""
        with self.database.organisation(self.organisation_id) as session:
            return contact_data(session, KEYRING, contact, [subscriber_hash(email) for email in emails]).statements

    def ledger(self, list_id: str = LIST) -> DatabaseLedger:
        return DatabaseLedger(self.database, KEYRING, self.organisation_id, list_id, lambda: self.now)


_ABOUT = ["entity_type", "entity_id", "subscriber_hash"]

_EXCLUSION = sql.SQL(f"""
select {EXCLUSION} from unnest(%(types)s::text[], %(ids)s::text[], %(hashes)s::text[])
    as about (entity_type, entity_id, subscriber_hash)
""")  # noqa: S608 - put together of constants


def _arrays(about: pd.DataFrame) -> dict[str, str]:
    return {
        name: text_array(about[column].tolist())
        for name, column in zip(("types", "ids", "hashes"), _ABOUT, strict=True)
    }
