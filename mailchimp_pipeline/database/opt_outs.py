"""Opt-outs that Mailchimp does not know yet: which audiences and organisations they are outstanding in.

Nothing is queued: what is outstanding follows from the statements and the ledgers, so it cannot be lost.
"""

from datetime import datetime, timedelta

from psycopg import sql
from sqlalchemy import text
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.bulk import driver_connection
from mailchimp_pipeline.database.ledger.statements import TO_UNSUBSCRIBE
from mailchimp_pipeline.database.session import OrganisationSession

_AUDIENCES = sql.SQL(f"select distinct mailchimp_list_id from ({TO_UNSUBSCRIBE}) as member order by 1")

_CONNECTED = text("""
select organisation_id, opt_outs_propagated_at from mailchimp_connections
where soft_deleted_at is null order by organisation_id
""")

_OUTSTANDING = text("""
select exists (
    select from consent_statements
    where organisation_id = :organisation_id and not opted_in and (recorded_at > :since or :is_long_ago)
)
""")

_LONG_AGO = timedelta(days=1)
"""After so long the audiences are looked at again: another program may have subscribed a contact who opted out."""


def audiences_to_unsubscribe(session: OrganisationSession) -> list[str]:
    """Return the audiences with members who may not be e-mailed."""
    found = driver_connection(session).execute(_AUDIENCES, {"organisation_id": session.organisation_id})
    return [str(list_id) for (list_id,) in found]


def organisations_with_opt_outs(session: Session, now: datetime) -> list[str]:
    """Return the connected organisations with opt-outs that may not have reached every audience of the account."""
    found: list[str] = []
    for organisation_id, since in session.execute(_CONNECTED).all():
        outstanding = {
            "organisation_id": organisation_id,
            "since": since or "-infinity",
            "is_long_ago": since is None or now - since > _LONG_AGO,
        }
        found += [organisation_id] if session.scalar(_OUTSTANDING, outstanding) else []
    return found
