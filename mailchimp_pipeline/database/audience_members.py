"""Queries over the members of all audiences of an organisation.

They find the opt-outs that Mailchimp does not have yet, and correct the database after a restore from a backup.
Outstanding opt-outs are computed from consent statements and audience members. They are not queued, so none is lost.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pandas as pd
from psycopg import sql
from sqlalchemy import select, text, true, union, update
from sqlalchemy.orm import Session

from mailchimp_pipeline.consent import DELETED_AT_MAILCHIMP, Channel
from mailchimp_pipeline.database.bulk import text_array
from mailchimp_pipeline.database.consent_statements import HOLDERS, as_statement, contacts_by_address, record_statements
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.erased_contacts import ErasedAmong
from mailchimp_pipeline.database.ledger_sql import MEMBERS_OF_SUPPRESSED_CONTACTS, TO_UNSUBSCRIBE
from mailchimp_pipeline.database.locks import consent_lock, lock_for_transaction
from mailchimp_pipeline.database.session import OrganisationSession, driver_connection
from mailchimp_pipeline.database.tables import AudienceMemberRow, AudienceReadRow, SegmentRow
from mailchimp_pipeline.sync import MemberRef

_AUDIENCES = sql.SQL(f"select distinct mailchimp_list_id from ({TO_UNSUBSCRIBE}) as member order by 1")

_OF_FORMER_HOLDERS = sql.SQL(f"""
select mailchimp_list_id, subscriber_hash, entity_type, entity_id from ({MEMBERS_OF_SUPPRESSED_CONTACTS}) as member
""")

_ATTRIBUTE = sql.SQL("""
update audience_members set entity_type = %(entity_type)s, entity_id = %(entity_id)s
where organisation_id = %(organisation_id)s and mailchimp_list_id = %(list_id)s
    and subscriber_hash = %(subscriber_hash)s
""")

_OUTSTANDING = text("""
select connection.organisation_id from mailchimp_connections as connection
where connection.soft_deleted_at is null and (
    coalesce(connection.opt_outs_propagated_at, '-infinity') < :long_ago or exists (
        select from consent_statements as statement
        where statement.organisation_id = connection.organisation_id and not statement.opted_in
            and statement.recorded_at > connection.opt_outs_propagated_at
    )
)
order by connection.organisation_id
""")

_LONG_AGO = timedelta(days=1)
"""The time after which an organisation's audiences are read again, even without a new opt-out.

A contact may have unsubscribed at Mailchimp, or another program may have subscribed a contact who opted out.
"""


def attribute_members(session: OrganisationSession, contacts: pd.DataFrame) -> None:
    """Attribute audience members of contacts who opted out to the contacts who now have the members' addresses.

    `contacts` has entity_type, entity_id and subscriber_hash of all the organisation's employees, vendors, or both.
    Without this, a contact who opted out and then gave up an address would keep the address's next owner from being
    e-mailed.
    """
    connection, ours = driver_connection(session), {"organisation_id": session.organisation_id}
    members = connection.execute(_OF_FORMER_HOLDERS, ours).fetchall()
    if not members:
        return
    holders = contacts_by_address(contacts, [key for _, key, _, _ in members])
    for list_id, key, entity_type, entity_id in members:
        now = holders.get(str(key), [])
        if now and (entity_type, entity_id) not in now:
            place = {**ours, "list_id": list_id, "subscriber_hash": key}
            connection.execute(_ATTRIBUTE, {**place, "entity_type": now[0][0], "entity_id": now[0][1]})


def audiences_to_unsubscribe(session: OrganisationSession, erased: ErasedAmong) -> list[str]:
    """Return the ids of the audiences that have members who may not be e-mailed.

    `erased` are the erased contacts that are still in the source.
    """
    parameters = {"organisation_id": session.organisation_id, **erased.parameters()}
    found = driver_connection(session).execute(_AUDIENCES, parameters)
    return [str(list_id) for (list_id,) in found]


def organisations_with_opt_outs(session: Session, now: datetime) -> list[str]:
    """Return the connected organisations whose opt-outs may not have reached all their audiences.

    An organisation is also included if its audiences were last checked more than a day ago.
    """
    return list(session.scalars(_OUTSTANDING, {"long_ago": now - _LONG_AGO}))


_HOLDERS_OF = f"""
select about.subscriber_hash, holder.entity_type, holder.entity_id
from unnest(%(hashes)s::text[]) as about (subscriber_hash) cross join lateral ({HOLDERS}) as holder
order by 1, 2, 3
"""


def audiences_known(session: OrganisationSession) -> Sequence[str]:
    """Return the sorted ids of all audiences that the database knows of the organisation.

    A segment feeds them, also a deleted one, or their members are recorded.
    """
    rows = (SegmentRow, AudienceReadRow, AudienceMemberRow)
    return sorted(session.scalars(union(*(select(row.mailchimp_list_id).where(session.owns(row)) for row in rows))))


def members_known(
    session: OrganisationSession, list_id: str, hashes: Sequence[str] | None = None
) -> Mapping[str, tuple[str | None, MemberRef]]:
    """Return the known status and the Mailchimp ids of the audience's members, by subscriber hash.

    With `hashes`, only of the members with these subscriber hashes.
    """
    row = AudienceMemberRow
    query = select(row.subscriber_hash, row.status, row.contact_id, row.member_id).where(
        session.owns(row),
        row.mailchimp_list_id == list_id,
        true() if hashes is None else row.subscriber_hash.in_(hashes),
    )
    return {
        key: (status, MemberRef(key, contact_id, member_id))
        for key, status, contact_id, member_id in session.execute(query)
    }


def record_deleted(  # noqa: PLR0913 - a statement is made of these
    session: OrganisationSession, keyring: Keyring, list_id: str, hashes: Sequence[str], *, by: str, at: datetime
) -> int:
    """Record that the members with these subscriber hashes were deleted permanently at Mailchimp.

    After a restore, an erasure that was made after the backup may be the cause, and its record is lost. Every contact
    with one of the addresses is therefore opted out of every audience, until the contact opts in. Return how many
    consent statements were recorded.
    """
    # The lock is taken before any row lock, as everywhere.
    lock_for_transaction(session, consent_lock(session.organisation_id))
    absent = update(AudienceMemberRow).where(
        session.owns(AudienceMemberRow),
        AudienceMemberRow.mailchimp_list_id == list_id,
        AudienceMemberRow.subscriber_hash.in_(hashes),
    )
    session.execute(absent.values(status=None, digest=None, leaving=False, changed_at=at))
    parameters = {"organisation_id": session.organisation_id, "hashes": text_array(hashes)}
    found = driver_connection(session).execute(_HOLDERS_OF, parameters).fetchall()
    statements = [
        as_statement((*contact, key, False, at, Channel.DELETION), source=DELETED_AT_MAILCHIMP, list_id=list_id)
        for key, *contact in found
    ]
    return record_statements(session, keyring, statements, by=by, at=at)
