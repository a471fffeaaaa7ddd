"""Withdrawals of consent that Mailchimp does not know yet: who opted out and is still mailed somewhere.

Nothing is queued: what is outstanding follows from the preferences and the ledgers, so it cannot be lost.
What does not belong here: carrying them to Mailchimp (`mailchimp_pipeline.withdrawals`).
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailchimp_pipeline.database.ledger.statements import MAILED_THOUGH_OPTED_OUT
from mailchimp_pipeline.database.session import OrganisationSession

_OUTSTANDING = f"""
from ({MAILED_THOUGH_OPTED_OUT}) as mailed
join mailchimp_connections as connection
    on connection.organisation_id = mailed.organisation_id and connection.soft_deleted_at is null
"""

_AUDIENCES = text(
    f"select distinct mailed.mailchimp_list_id {_OUTSTANDING} where mailed.organisation_id = :organisation_id"
    " order by 1"
)
_ORGANISATIONS = text(f"select distinct mailed.organisation_id {_OUTSTANDING} order by 1")


def audiences_to_tell(session: OrganisationSession) -> list[str]:
    """Return the audiences of the organisation that still mail somebody who opted out."""
    return list(session.scalars(_AUDIENCES, {"organisation_id": session.organisation_id}))


def organisations_to_tell(session: Session) -> list[str]:
    """Return the connected organisations with such audiences."""
    return list(session.scalars(_ORGANISATIONS))
