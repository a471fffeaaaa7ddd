"""The data that the database stores about one contact, its last known address, and the contacts with an address."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import LiteralString, TypeVar

import pandas as pd
from sqlalchemy import Row, Text, and_, cast, exists, or_, select

from mailchimp_pipeline.consent import Channel, ConsentStatement, Contact, Preference
from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database import audit_log
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedContacts
from mailchimp_pipeline.database.erasure_store import ErasureStore
from mailchimp_pipeline.database.preference_store import PreferenceStore
from mailchimp_pipeline.database.session import OrganisationSession, driver_connection
from mailchimp_pipeline.database.tables import (
    AudienceMemberRow,
    ConsentStatementRow,
    PreferenceRow,
    RejectedContactRow,
    SegmentMemberRow,
    SegmentRow,
    as_value,
    of_contact,
)
from mailchimp_pipeline.erasure import ErasureRequest


def known_address(session: OrganisationSession, entity_type: EntityType, entity_id: str) -> str | None:
    """Return the subscriber hash of the contact's last known address.

    Return None if the contact is in no segment and is recorded in no audience.
    """
    wanted = (
        select(SegmentMemberRow.subscriber_hash)
        .join(SegmentRow, SegmentRow.id == SegmentMemberRow.segment_id)
        .where(session.owns(SegmentMemberRow), of_contact(SegmentMemberRow, (entity_type, entity_id)))
        .order_by(SegmentRow.status_changed_at.desc(), SegmentMemberRow.subscriber_hash)
    )
    sent = (
        select(AudienceMemberRow.subscriber_hash)
        .where(session.owns(AudienceMemberRow), of_contact(AudienceMemberRow, (entity_type, entity_id)))
        .order_by(AudienceMemberRow.pushed_at.desc().nulls_last(), AudienceMemberRow.subscriber_hash)
    )
    return session.scalar(wanted.limit(1)) or session.scalar(sent.limit(1))


# No index begins with the organisation and the hash. Both tables have one that has the audience between the two, so
# the address is looked up in one audience after the other.
CONTACTS_WITH_ADDRESS: LiteralString = """
with audience as (
    select mailchimp_list_id from contact_segments where organisation_id = %(organisation_id)s
    union select mailchimp_list_id from audience_reads where organisation_id = %(organisation_id)s
)
select distinct known.entity_type, known.entity_id from audience cross join lateral (
    select entity_type, entity_id from segment_members as member
    where member.organisation_id = %(organisation_id)s
        and member.mailchimp_list_id = audience.mailchimp_list_id and member.subscriber_hash = %(subscriber_hash)s
    union all
    select entity_type, entity_id from audience_members as member
    where member.organisation_id = %(organisation_id)s
        and member.mailchimp_list_id = audience.mailchimp_list_id and member.subscriber_hash = %(subscriber_hash)s
        and member.entity_id is not null
    offset 0
) as known
"""


def contacts_with_address(session: OrganisationSession, keyring: Keyring, subscriber_hash: str) -> list[Contact]:
    """Return the contacts that are in a segment or an audience with this address, sorted, without erased ones."""
    wanted = {"organisation_id": session.organisation_id, "subscriber_hash": subscriber_hash}
    found = driver_connection(session).execute(CONTACTS_WITH_ADDRESS, wanted).fetchall()
    if not found:
        return []
    frame = pd.DataFrame(found, columns=["entity_type", "entity_id"]).assign(subscriber_hash=subscriber_hash)
    erased = ErasedContacts(session, keyring).among(frame).contacts
    return sorted((EntityType(kind), str(each)) for kind, each in found if (kind, each) not in erased)


_RowT = TypeVar("_RowT", AudienceMemberRow, RejectedContactRow)

_ALL = 1_000_000_000
"""A limit that no contact's number of audit entries exceeds."""


@dataclass(frozen=True, slots=True)
class ContactData:
    """All data about a contact in the database. Audit log entries are newest first.

    `memberships` has a row for each segment that the contact is in, with `segment_id`, `segment_name`,
    `mailchimp_list_id`, `email`, `first_name` and `last_name`.
    """

    preference: Preference | None
    statements: Sequence[ConsentStatement]
    memberships: Sequence[Row[str, str, str, str, str | None, str | None]]
    audience_members: Sequence[AudienceMemberRow]
    rejections: Sequence[RejectedContactRow]
    erasures: Sequence[ErasureRequest]
    audit_entries: Sequence[audit_log.Entry]

    @property
    def is_anything(self) -> bool:
        """Return whether the database has any data about the contact."""
        kept = (self.statements, self.memberships, self.audience_members, self.rejections, self.erasures)
        return self.preference is not None or any(kept) or bool(self.audit_entries)


def contact_data(
    session: OrganisationSession,
    keyring: Keyring,
    contact: Contact,
    addresses: Collection[str] = (),
) -> ContactData:
    """Return all data in the database about the contact and its `addresses`, which are subscriber hashes."""
    memberships = (
        select(
            cast(SegmentMemberRow.segment_id, Text).label("segment_id"),
            SegmentRow.name.label("segment_name"),
            SegmentMemberRow.mailchimp_list_id,
            SegmentMemberRow.email,
            SegmentMemberRow.first_name,
            SegmentMemberRow.last_name,
        )
        .join(SegmentRow, SegmentRow.id == SegmentMemberRow.segment_id)
        .where(session.owns(SegmentMemberRow), of_contact(SegmentMemberRow, contact))
        .order_by(SegmentRow.created_at, SegmentRow.id, SegmentMemberRow.subscriber_hash)
    )
    entity = audit_log.contact_entity(session, keyring, contact)
    return ContactData(
        preference=PreferenceStore(session).get(*contact),
        statements=_statements(session, contact, addresses),
        memberships=session.execute(memberships).all(),
        audience_members=_in_audiences(session, AudienceMemberRow, contact, addresses),
        rejections=_in_audiences(session, RejectedContactRow, contact, addresses),
        erasures=ErasureStore(session, keyring).of(*contact),
        audit_entries=audit_log.entries(session, limit=_ALL, entity=entity).items,
    )


def _in_audiences(
    session: OrganisationSession, row: type[_RowT], contact: Contact, addresses: Collection[str]
) -> Sequence[_RowT]:
    """Return the rows of the table that are about the contact or one of the addresses, ordered by audience."""
    theirs = or_(of_contact(row, contact), row.subscriber_hash.in_(addresses))
    query = select(row).where(session.owns(row), theirs)
    return session.scalars(query.order_by(row.mailchimp_list_id, row.subscriber_hash)).all()


def _statements(session: OrganisationSession, contact: Contact, addresses: Collection[str]) -> list[ConsentStatement]:
    row = ConsentStatementRow
    of_address = and_(row.entity_id.is_(None), row.subscriber_hash.in_(addresses))
    query = select(row).where(session.owns(row), or_(of_contact(row, contact), of_address))
    return [
        as_value(
            ConsentStatement,
            one,
            contact=contact if one.entity_id else None,
            channel=None if one.channel is None else Channel(one.channel),
        )
        for one in session.scalars(query.order_by(row.id))
    ]


def is_known(session: OrganisationSession, contact: Contact) -> bool:
    """Return whether the contact has a preference, a consent statement, or is a member of a segment or an audience."""
    return any(
        session.scalar(select(exists().where(session.owns(row), of_contact(row, contact))))
        for row in (PreferenceRow, ConsentStatementRow, SegmentMemberRow, AudienceMemberRow)
    )
