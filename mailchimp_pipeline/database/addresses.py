"""The last known address of a contact, as Mailchimp's subscriber hash.

What does not belong here: addresses in plain text, which are in the sources (`contacts`).
"""

from sqlalchemy import select

from mailchimp_pipeline.contacts import EntityType
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import AudienceMemberRow, SegmentMemberRow, SegmentRow, of_contact


def known_address(session: OrganisationSession, entity_type: EntityType, entity_id: str) -> str | None:
    """Return the subscriber hash of the contact's latest address.

    Returns None if the contact is in no segment and was never sent to an audience.
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
