"""Withdrawals of consent that Mailchimp does not know yet: who opted out and is still mailed somewhere.

Nothing is queued: what is outstanding follows from the preferences and the ledgers, so it cannot be lost.
What does not belong here: carrying them to Mailchimp (`mailchimp_pipeline.withdrawals`).
"""

import pandas as pd
from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.bulk import driver_connection
from mailchimp_pipeline.database.session import OrganisationSession

_OUTSTANDING = """
from audience_members as known
join mailchimp_connections as connection
    on connection.organisation_id = known.organisation_id and connection.soft_deleted_at is null
where known.status in ('subscribed', 'pending') and exists (
    select from email_preferences as said
    where said.organisation_id = known.organisation_id and not said.opted_in and (
        (said.entity_type, said.entity_id) = (known.entity_type, known.entity_id)
        or said.subscriber_hash = known.subscriber_hash
    )
)
"""

_CLAIM = sql.SQL("""
update audience_members as known set entity_type = told.entity_type, entity_id = told.entity_id,
    replaced_hash = null
from unnest(%(hashes)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[])
    as told (subscriber_hash, entity_type, entity_id)
where known.organisation_id = %(organisation_id)s and known.subscriber_hash = told.subscriber_hash
    and (known.entity_type, known.entity_id) is distinct from (told.entity_type, told.entity_id)
    and known.status in ('subscribed', 'pending')
""")

_AUDIENCES = text(
    f"select distinct known.mailchimp_list_id {_OUTSTANDING} and known.organisation_id = :organisation_id"
)
_ORGANISATIONS = text(f"select distinct known.organisation_id {_OUTSTANDING} order by 1")


def claim_members(session: OrganisationSession, contacts: pd.DataFrame, opted_out: pd.DataFrame) -> None:
    """Note that members with the present address of somebody who opted out are theirs, however they came there.

    Both frames have entity_type and entity_id, the contacts also subscriber_hash.
    """
    few = contacts[contacts["entity_id"].isin(opted_out["entity_id"]) & contacts["subscriber_hash"].notna()]
    theirs = few.merge(opted_out[["entity_type", "entity_id"]])
    parameters = {
        "organisation_id": session.organisation_id,
        "hashes": theirs["subscriber_hash"].tolist(),
        "entity_types": theirs["entity_type"].tolist(),
        "entity_ids": theirs["entity_id"].tolist(),
    }
    if not theirs.empty:
        driver_connection(session).execute(_CLAIM, parameters)


def audiences_to_tell(session: OrganisationSession) -> list[str]:
    """Return the audiences of the organisation that still mail somebody who opted out."""
    return list(session.scalars(_AUDIENCES, {"organisation_id": session.organisation_id}))


def organisations_to_tell(session: Session) -> list[str]:
    """Return the connected organisations with such audiences."""
    return list(session.scalars(_ORGANISATIONS))
