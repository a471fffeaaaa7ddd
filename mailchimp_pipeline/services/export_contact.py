"""Export the data about one contact from the database, the source and Mailchimp."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.contacts import EntityType, Source, present_member_ids
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.contact_data import ContactData, contact_data
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.tables import AudienceMemberRow
from mailchimp_pipeline.erasure import UnknownContact
from mailchimp_pipeline.errors import PipelineError
from mailchimp_pipeline.mailchimp import MailchimpClient
from mailchimp_pipeline.sync import Audience, MemberRef


@dataclass(frozen=True, slots=True)
class MemberThere:
    """A contact's entry in an audience. `member` is the member as Mailchimp's API returns it."""

    audience: Audience
    member: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Disclosure:
    """The result of an export: all data about a contact.

    `source_problem` and `mailchimp_problem` are the errors if the source or Mailchimp could not be read, else None.
    """

    entity_type: EntityType
    entity_id: str
    at: datetime
    contact_data: ContactData
    members: tuple[MemberThere, ...]
    source_problem: PipelineError | None
    mailchimp_problem: PipelineError | None


@dataclass(frozen=True, slots=True)
class ExportContact:
    """Exports all data about a contact.

    `source` returns the source of employees and vendors. `mailchimp` opens the Mailchimp account of the organisation
    with the given id.
    """

    database: Database
    keyring: Keyring
    source: Callable[[], Source]
    mailchimp: Callable[[str], AbstractContextManager[MailchimpClient]]
    clock: Clock

    def export(self, organisation_id: str, contact: tuple[EntityType, str], *, by: str) -> Disclosure:
        """Return all data about the contact, and record in the audit log that `by` exported it.

        If the source or Mailchimp fails, the result has the error and the data that could be read. Raises
        `UnknownContact` if neither the database nor the source has the contact.
        """
        addresses, source_problem = self._present_addresses(organisation_id, contact)
        with self.database.organisation(organisation_id) as session:
            held = contact_data(session, self.keyring, contact, addresses or ())
        if addresses is None and not held.is_anything:
            raise UnknownContact(contact[0].value)
        members: list[MemberThere] = []
        mailchimp_problem: PipelineError | None = None
        try:
            with self.mailchimp(organisation_id) as mailchimp:
                members += _members(mailchimp, held.audience_members, addresses or ())
        except PipelineError as error:
            mailchimp_problem = error
        at = self.clock()
        with self.database.organisation(organisation_id) as session:
            entity = audit_log.contact_entity(session, self.keyring, contact)
            audit_log.write(session, audit_log.Entry(by, "contact.exported", entity, at))
        return Disclosure(*contact, at, held, tuple(members), source_problem, mailchimp_problem)

    def _present_addresses(
        self, organisation_id: str, contact: tuple[EntityType, str]
    ) -> tuple[Collection[str] | None, PipelineError | None]:
        """Return the subscriber hashes of the contact's addresses in the source, and the source's error.

        None instead of hashes means that the source does not have the contact. If the source fails, there are no
        hashes.
        """
        try:
            return present_member_ids(self.source(), organisation_id, *contact), None
        except PipelineError as error:
            return (), error


def _members(
    mailchimp: MailchimpClient, held: Sequence[AudienceMemberRow], addresses: Collection[str]
) -> Iterator[MemberThere]:
    """Yield the contact's entry in each audience that has one.

    Members are found by `addresses`, which are subscriber hashes, and by the hashes and contact ids in the rows `held`.
    """
    known = {*addresses, *(row.subscriber_hash for row in held)}
    for audience in mailchimp.audiences():
        ours = [row for row in held if row.mailchimp_list_id == audience.id]
        refs = {key: MemberRef(key) for key in known}
        stored = [MemberRef(row.subscriber_hash, row.contact_id, row.member_id) for row in ours]
        refs |= {ref.path_id: ref for ref in stored}
        for contact_id in sorted({row.contact_id for row in ours if row.contact_id}):
            if found := mailchimp.find_contact(audience.id, contact_id):
                ref = MemberRef(found.subscriber_hash, contact_id, found.member_id)
                refs[ref.path_id] = ref
        for key in sorted(refs):
            if (member := mailchimp.whole_member(audience.id, refs[key])) is not None:
                yield MemberThere(audience, member)
