"""Withdrawals of consent that Mailchimp does not know yet: who opted out and is still mailed somewhere.

Nothing is queued: what is outstanding follows from the preferences and the ledgers, so it cannot be lost.
What does not belong here: carrying them to Mailchimp (`mailchimp_pipeline.withdrawals`).
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

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

_AUDIENCES = text(
    f"select distinct known.mailchimp_list_id {_OUTSTANDING} and known.organisation_id = :organisation_id"
)
_ORGANISATIONS = text(f"select distinct known.organisation_id {_OUTSTANDING} order by 1")


def audiences_to_tell(session: OrganisationSession) -> list[str]:
    """Return the audiences of the organisation that still mail somebody who opted out."""
    return list(session.scalars(_AUDIENCES, {"organisation_id": session.organisation_id}))


def organisations_to_tell(session: Session) -> list[str]:
    """Return the connected organisations with such audiences."""
    return list(session.scalars(_ORGANISATIONS))
