"""What a ledger needs to agree with its audience again, after the database was restored from a backup.

What does not belong here: taking over how members stand (`ledger`), reading the audience (`reconcile`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from psycopg import sql
from sqlalchemy import select, union

from mailchimp_pipeline.database.bulk import driver_connection
from mailchimp_pipeline.database.preferences import DELETED_AT_MAILCHIMP
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import AudienceMemberRow, AudienceReadRow, SegmentRow
from mailchimp_pipeline.sync import MemberStatus
from mailchimp_pipeline.sync.mending import KnownMember

_NOTE_DELETED = sql.SQL("""
update audience_members set
    state = 'refused', refusal = 'permanently_deleted', refused_at = %(at)s, changed_at = %(at)s,
    status = null, attempted_digest = digest, digest = null, leaving = false
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s and subscriber_hash = any(%(hashes)s)
""")

# An erasure that was made after the backup looks just like it, and its hashes are lost: so nobody is mailed, in no
# audience, until a person has looked. That can be taken back by the contact's own word; an erasure could not.
_WITHDRAW = sql.SQL("""
with contacts as (
    select entity_type, entity_id, subscriber_hash from segment_members
    where organisation_id = %(organisation_id)s and subscriber_hash = any(%(hashes)s)
    union
    select entity_type, entity_id, subscriber_hash from audience_members
    where organisation_id = %(organisation_id)s and subscriber_hash = any(%(hashes)s) and entity_id is not null
),
told as (
    insert into email_preferences as said (
        organisation_id, entity_type, entity_id, subscriber_hash, opted_in, consent_withdrawn_at, consent_source,
        updated_at
    )
    select distinct on (entity_type, entity_id)
        %(organisation_id)s, entity_type, entity_id, subscriber_hash, false, %(at)s, %(source)s, %(at)s
    from contacts order by entity_type, entity_id, subscriber_hash
    on conflict (organisation_id, entity_type, entity_id) do update set
        opted_in = false, consent_withdrawn_at = excluded.consent_withdrawn_at,
        consent_source = excluded.consent_source, updated_at = excluded.updated_at
    where said.opted_in
    returning entity_type, entity_id
)
insert into audit_log (organisation_id, actor, action, entity_type, entity_id, at, details)
select %(organisation_id)s, %(by)s, 'preference.opted_out', entity_type, entity_id, %(at)s,
    jsonb_build_object('consent_source', %(source)s::text)
from told
""")


def audiences_known(session: OrganisationSession) -> Sequence[str]:
    """Return the audiences that the organisation's segments or ledgers name, by id."""
    ours = [
        select(row.mailchimp_list_id).where(row.organisation_id == session.organisation_id)
        for row in (SegmentRow, AudienceReadRow, AudienceMemberRow)
    ]
    return sorted(session.scalars(union(*ours)))


def members_known(session: OrganisationSession, list_id: str) -> Mapping[str, KnownMember]:
    """Return how the ledger says that the audience's members stand, by hash."""
    row = AudienceMemberRow
    query = select(row.subscriber_hash, row.status, row.contact_id).where(
        row.organisation_id == session.organisation_id, row.mailchimp_list_id == list_id
    )
    return {
        key: KnownMember(MemberStatus(status) if status else None, contact_id)
        for key, status, contact_id in session.execute(query)
    }


def note_deleted(session: OrganisationSession, list_id: str, hashes: Sequence[str], *, by: str, at: datetime) -> int:
    """Note that Mailchimp deleted these members for good, and that their contacts want no mail.

    Return how many contacts' word that changed.
    """
    parameters = {"organisation_id": session.organisation_id, "list_id": list_id, "hashes": list(hashes), "at": at}
    connection = driver_connection(session)
    connection.execute(_NOTE_DELETED, parameters)
    return connection.execute(_WITHDRAW, {**parameters, "by": by, "source": DELETED_AT_MAILCHIMP}).rowcount
