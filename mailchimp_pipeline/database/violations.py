"""Members of a segment who must not be pushed, looked for anew in the tables before a push.

What does not belong here: keeping them out in the first place (`mailchimp_pipeline.segments`).
"""

from psycopg import sql

from mailchimp_pipeline.database.bulk import counted, driver_connection
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased import ErasedContacts
from mailchimp_pipeline.database.members import MemberStore
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import row_id

# From the few who opted out to the members, by a lookup for each.
_MEMBERS_OPTED_OUT = """
select member.subscriber_hash from email_preferences as said cross join lateral (
    select * from segment_members as theirs
    where theirs.organisation_id = said.organisation_id
        and theirs.entity_type = said.entity_type and theirs.entity_id = said.entity_id offset 0
) as member
where said.organisation_id = %(organisation_id)s and not said.opted_in and member.segment_id = %(segment_id)s
union
select member.subscriber_hash from email_preferences as said cross join lateral (
    select * from segment_members as there
    where there.segment_id = %(segment_id)s and there.subscriber_hash = said.subscriber_hash
        and there.organisation_id = said.organisation_id offset 0
) as member
where said.organisation_id = %(organisation_id)s and not said.opted_in
"""

_COUNT = sql.SQL(f"select count(*) from ({_MEMBERS_OPTED_OUT}) as violating")  # noqa: S608 - put together of constants

_REMOVE = sql.SQL(f"""
delete from segment_members
where organisation_id = %(organisation_id)s and segment_id = %(segment_id)s
    and subscriber_hash in ({_MEMBERS_OPTED_OUT})
""")  # noqa: S608 - put together of constants

_NOT_CONSENTED = sql.SQL("""
select count(*) from segment_members as member
where member.organisation_id = %(organisation_id)s and member.segment_id = %(segment_id)s and exists (
    select from mailchimp_connections as connection
    where connection.organisation_id = %(organisation_id)s and connection.soft_deleted_at is null
        and connection.opt_in_only
) and not exists (
    select from email_preferences as said
    where said.organisation_id = %(organisation_id)s and said.opted_in
        and said.entity_type = member.entity_type and said.entity_id = member.entity_id
)
""")


def violations(session: OrganisationSession, keyring: Keyring, segment_id: str) -> int:
    """Count the segment's members who opted out, by themselves or at their address, were erased, or did not consent.

    The last only where the organisation asks for consent first.
    """
    parameters = {"organisation_id": session.organisation_id, "segment_id": row_id(segment_id)}
    found = sum(counted(driver_connection(session), query, parameters) for query in (_COUNT, _NOT_CONSENTED))
    erased = ErasedContacts(session, keyring)
    if not erased.any():
        return found
    entities, addresses = erased.among(MemberStore(session).of(segment_id))
    return found + int((entities | addresses).sum())


def remove_opted_out(session: OrganisationSession, segment_id: str) -> int:
    """Take out of the segment who opted out since its members were looked for; return how many that were."""
    parameters = {"organisation_id": session.organisation_id, "segment_id": row_id(segment_id)}
    return driver_connection(session).execute(_REMOVE, parameters).rowcount
