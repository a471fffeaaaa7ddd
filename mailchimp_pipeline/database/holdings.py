"""What the tables hold about one contact, read for the contact.

What does not belong here: what Mailchimp holds (`mailchimp_pipeline.access`), removing it (`traces`).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, exists, or_, select

from mailchimp_pipeline.consent import Channel, ConsentStatement, Contact, Preference
from mailchimp_pipeline.database import audit
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erasures import ErasureStore
from mailchimp_pipeline.database.preferences import PreferenceStore
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import (
    AudienceMemberRow,
    ConsentStatementRow,
    PreferenceRow,
    RejectedContactRow,
    SegmentMemberRow,
    SegmentRow,
)
from mailchimp_pipeline.erasure import ErasureRequest

_PAGE = 500


@dataclass(frozen=True, slots=True)
class HeldMembership:
    """The contact in a segment, with what is wanted to be known of it at Mailchimp."""

    segment_id: str
    segment_name: str
    mailchimp_list_id: str
    email: str
    first_name: str | None
    last_name: str | None


@dataclass(frozen=True, slots=True)
class HeldMember:
    """The ledger's row of the contact in an audience: what was sent, when, and Mailchimp's status of it."""

    mailchimp_list_id: str
    subscriber_hash: str
    contact_id: str | None
    member_id: str | None
    email: str | None
    status: str | None
    first_pushed_at: datetime | None
    pushed_at: datetime | None
    changed_at: datetime | None


@dataclass(frozen=True, slots=True)
class HeldRejection:
    """Why Mailchimp did not accept the contact in an audience, and when it is sent again."""

    mailchimp_list_id: str
    subscriber_hash: str
    reason: str
    rejected_at: datetime
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything that the tables hold about a contact; the audit entries newest first."""

    preference: Preference | None
    statements: Sequence[ConsentStatement]
    memberships: Sequence[HeldMembership]
    audience_members: Sequence[HeldMember]
    rejections: Sequence[HeldRejection]
    erasures: Sequence[ErasureRequest]
    audit_entries: Sequence[audit.Entry]

    @property
    def is_anything(self) -> bool:
        """Return whether anything is held."""
        kept = (self.statements, self.memberships, self.audience_members, self.rejections, self.erasures)
        return self.preference is not None or any(kept) or bool(self.audit_entries)


def holdings(
    session: OrganisationSession,
    keyring: Keyring,
    contact: Contact,
    addresses: Collection[str] = (),
) -> Holdings:
    """Return what is held about the contact, and about these addresses (Mailchimp's hashes) of it."""
    entity_type, entity_id = contact
    return Holdings(
        preference=PreferenceStore(session).get(entity_type, entity_id),
        statements=_statements(session, contact, addresses),
        memberships=_memberships(session, contact),
        audience_members=_members(session, contact, addresses),
        rejections=_rejections(session, contact, addresses),
        erasures=ErasureStore(session, keyring).of(entity_type, entity_id),
        audit_entries=list(_entries(session, audit.contact_entity(session, keyring, contact))),
    )


def _memberships(session: OrganisationSession, contact: Contact) -> list[HeldMembership]:
    query = (
        select(SegmentMemberRow, SegmentRow.name)
        .join(SegmentRow, SegmentRow.id == SegmentMemberRow.segment_id)
        .where(
            SegmentMemberRow.organisation_id == session.organisation_id,
            SegmentMemberRow.entity_type == contact[0].value,
            SegmentMemberRow.entity_id == contact[1],
        )
        .order_by(SegmentRow.created_at, SegmentRow.id, SegmentMemberRow.subscriber_hash)
    )
    return [
        HeldMembership(str(row.segment_id), name, row.mailchimp_list_id, row.email, row.first_name, row.last_name)
        for row, name in session.execute(query)
    ]


def _members(session: OrganisationSession, contact: Contact, addresses: Collection[str]) -> list[HeldMember]:
    row = AudienceMemberRow
    of_contact = and_(row.entity_type == contact[0].value, row.entity_id == contact[1])
    query = select(row).where(
        row.organisation_id == session.organisation_id, or_(of_contact, row.subscriber_hash.in_(addresses))
    )
    found = session.scalars(query.order_by(row.mailchimp_list_id, row.subscriber_hash))
    return [
        HeldMember(
            mailchimp_list_id=one.mailchimp_list_id,
            subscriber_hash=one.subscriber_hash,
            contact_id=one.contact_id,
            member_id=one.member_id,
            email=one.email,
            status=one.status,
            first_pushed_at=one.first_pushed_at,
            pushed_at=one.pushed_at,
            changed_at=one.changed_at,
        )
        for one in found
    ]


def _rejections(session: OrganisationSession, contact: Contact, addresses: Collection[str]) -> list[HeldRejection]:
    row = RejectedContactRow
    of_contact = and_(row.entity_type == contact[0].value, row.entity_id == contact[1])
    query = select(row).where(
        row.organisation_id == session.organisation_id, or_(of_contact, row.subscriber_hash.in_(addresses))
    )
    return [
        HeldRejection(one.mailchimp_list_id, one.subscriber_hash, one.reason, one.rejected_at, one.next_attempt_at)
        for one in session.scalars(query.order_by(row.mailchimp_list_id, row.subscriber_hash))
    ]


def _statements(session: OrganisationSession, contact: Contact, addresses: Collection[str]) -> list[ConsentStatement]:
    row = ConsentStatementRow
    of_contact = and_(row.entity_type == contact[0].value, row.entity_id == contact[1])
    of_address = and_(row.entity_id.is_(None), row.subscriber_hash.in_(addresses))
    query = select(row).where(row.organisation_id == session.organisation_id, or_(of_contact, of_address))
    return [
        ConsentStatement(
            opted_in=one.opted_in,
            source=one.source,
            stated_at=one.stated_at,
            contact=contact if one.entity_id else None,
            subscriber_hash=one.subscriber_hash,
            mailchimp_list_id=one.mailchimp_list_id,
            channel=None if one.channel is None else Channel(one.channel),
        )
        for one in session.scalars(query.order_by(row.id))
    ]


def is_known(session: OrganisationSession, contact: Contact) -> bool:
    """Return whether any table has the contact."""
    return any(
        session.scalar(
            select(
                exists().where(
                    row.organisation_id == session.organisation_id,
                    row.entity_type == contact[0].value,
                    row.entity_id == contact[1],
                )
            )
        )
        for row in (PreferenceRow, ConsentStatementRow, SegmentMemberRow, AudienceMemberRow)
    )


def _entries(session: OrganisationSession, entity: audit.Entity) -> Iterator[audit.Entry]:
    cursor = None
    while True:
        found = audit.entries(session, limit=_PAGE, cursor=cursor, entity=entity)
        yield from found.items
        cursor = found.next_cursor
        if cursor is None:
            return
