"""Members of a segment who must not be pushed, looked for anew in the tables just before a push.

What does not belong here: keeping them out in the first place (`mailchimp_pipeline.segments`).
"""

from psycopg import sql

from mailchimp_pipeline.database.bulk import counted, driver_connection
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased import ErasedContacts
from mailchimp_pipeline.database.members import MemberStore
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import row_id

_OPTED_OUT = sql.SQL("""
select count(*) from segment_members as member
where member.organisation_id = %(organisation_id)s and member.segment_id = %(segment_id)s and exists (
    select from email_preferences as said
    where said.organisation_id = member.organisation_id and not said.opted_in and (
        (said.entity_type, said.entity_id) = (member.entity_type, member.entity_id)
        or said.subscriber_hash = member.subscriber_hash
    )
)
""")


def violations(session: OrganisationSession, keyring: Keyring, segment_id: str) -> int:
    """Count the segment's members who opted out, by themselves or at their address, or were erased."""
    parameters = {"organisation_id": session.organisation_id, "segment_id": row_id(segment_id)}
    opted_out = counted(driver_connection(session), _OPTED_OUT, parameters)
    erased = ErasedContacts(session, keyring)
    if not erased.any():
        return opted_out
    entities, addresses = erased.among(MemberStore(session).of(segment_id))
    return opted_out + int((entities | addresses).sum())
