"""Addresses that unsubscribed at Mailchimp, whoever they belong to: no audience of the organisation gets them.

What does not belong here: what contacts told us (`preferences`), the audiences' ledgers (`ledger`).
"""

import pandas as pd
from sqlalchemy import text

from mailchimp_pipeline.contacts import ARROW_STRING
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.segments import Exclusion

_UNSUBSCRIBED = text("""
select distinct known.subscriber_hash from audience_members as known
where known.organisation_id = :organisation_id and known.status = 'unsubscribed' and not exists (
    select from email_preferences as said
    where said.organisation_id = known.organisation_id and said.opted_in
        and said.consent_given_at > known.changed_at and (
            (said.entity_type, said.entity_id) = (known.entity_type, known.entity_id)
            or said.subscriber_hash = known.subscriber_hash
        )
)
""")


def unsubscribed_addresses(session: OrganisationSession) -> pd.DataFrame:
    """Return subscriber_hash and reason of the addresses whose contact did not opt in to us afterwards."""
    found = session.scalars(_UNSUBSCRIBED, {"organisation_id": session.organisation_id}).all()
    addresses = pd.DataFrame({"subscriber_hash": list(found)}, dtype=ARROW_STRING)
    return addresses.assign(reason=pd.Series([Exclusion.OPTED_OUT.value] * len(found), dtype=ARROW_STRING))
