"""Queries and corrections for the reconciliation after a restore from a backup.

What does not belong here: reading audiences from Mailchimp (`services.reconcile_audiences`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select, true, union, update

from mailchimp_pipeline.consent import DELETED_AT_MAILCHIMP, Channel
from mailchimp_pipeline.database.bulk import driver_connection, text_array
from mailchimp_pipeline.database.consent_statements import HOLDERS, as_statement, record_statements
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.locks.held import lock_for_transaction
from mailchimp_pipeline.database.locks.keys import consent_lock
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import AudienceMemberRow, AudienceReadRow, SegmentRow
from mailchimp_pipeline.sync import MemberRef

_HOLDERS_OF = f"""
select about.subscriber_hash, holder.entity_type, holder.entity_id
from unnest(%(hashes)s::text[]) as about (subscriber_hash) cross join lateral ({HOLDERS}) as holder
order by 1, 2, 3
"""


def audiences_known(session: OrganisationSession) -> Sequence[str]:
    """Return the ids of all audiences in the organisation's segments and ledgers, sorted."""
    rows = (SegmentRow, AudienceReadRow, AudienceMemberRow)
    return sorted(session.scalars(union(*(select(row.mailchimp_list_id).where(session.owns(row)) for row in rows))))


def members_known(
    session: OrganisationSession, list_id: str, hashes: Sequence[str] | None = None
) -> Mapping[str, tuple[str | None, MemberRef]]:
    """Return known status and ids of the audience's members by subscriber hash: of all, or of `hashes`."""
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
    """Record that Mailchimp deleted these members permanently. Return the number of new consent statements.

    An erasure made after the backup looks the same, and its hashes are lost. So each contact with one of these
    addresses counts as opted out in every audience, until it opts in.
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
