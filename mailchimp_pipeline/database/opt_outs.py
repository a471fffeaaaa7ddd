"""Opt-outs that Mailchimp does not have yet, by audience and organisation.

They are computed from consent statements and ledgers, not queued, so none can be lost.
"""

from datetime import datetime, timedelta

import pandas as pd
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.bulk import driver_connection
from mailchimp_pipeline.database.consent_statements import contacts_by_address
from mailchimp_pipeline.database.erased_contacts import ErasedAmong
from mailchimp_pipeline.database.ledger.statements import MEMBERS_OF_SUPPRESSED_CONTACTS, TO_UNSUBSCRIBE
from mailchimp_pipeline.database.session import OrganisationSession

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
"""Time after which audiences are read again. A contact may have unsubscribed at Mailchimp, or another program may have
subscribed a contact who opted out."""


def attribute_members(session: OrganisationSession, contacts: pd.DataFrame) -> None:
    """Attribute members of contacts who opted out to the contacts who have the addresses now.

    `contacts` has entity_type, entity_id and subscriber_hash of all the organisation's contacts. Without this, a
    contact who opted out and then changed address would block the next contact with the address.
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
    """Return the audiences with members who may not be e-mailed. `erased` are erased contacts in the source."""
    parameters = {"organisation_id": session.organisation_id, **erased.parameters()}
    found = driver_connection(session).execute(_AUDIENCES, parameters)
    return [str(list_id) for (list_id,) in found]


def organisations_with_opt_outs(session: Session, now: datetime) -> list[str]:
    """Return the connected organisations with opt-outs that may not have reached every audience of the account."""
    return list(session.scalars(_OUTSTANDING, {"long_ago": now - _LONG_AGO}))
