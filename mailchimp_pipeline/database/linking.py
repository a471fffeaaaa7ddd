"""Words and the people behind addresses, brought together once the source tells who has which address.

What does not belong here: what follows from a word (`preferences`, `withdrawals`), what Mailchimp says (`ledger`).
"""

from datetime import datetime

import pandas as pd
from sqlalchemy import ColumnElement, select

from mailchimp_pipeline.contacts import ARROW_STRING
from mailchimp_pipeline.database.bulk import contact_arrays, driver_connection
from mailchimp_pipeline.database.ledger.statements import withdrawing
from mailchimp_pipeline.database.session import OrganisationSession
from mailchimp_pipeline.database.tables import PreferenceRow

_THEIRS = "unnest(%(keys)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[])"

_ADD_ADDRESSES = f"""
update email_preferences as said set subscriber_hash = theirs.subscriber_hash
from {_THEIRS} as theirs (subscriber_hash, entity_type, entity_id)
where said.organisation_id = %(organisation_id)s and said.entity_type = theirs.entity_type
    and said.entity_id = theirs.entity_id and said.subscriber_hash is null
"""  # noqa: S608 - put together of constants

# Where somebody opted out at the address, it may be us who unsubscribed it.
_OF_NOBODY = """
select subscriber_hash, max(changed_at) as changed_at from audience_members as known
where organisation_id = %(organisation_id)s and status = 'unsubscribed' and entity_id is null and not exists (
    select from email_preferences as said
    where said.organisation_id = %(organisation_id)s and not said.opted_in
        and said.subscriber_hash = known.subscriber_hash
)
group by subscriber_hash
"""

_WITHDRAW = withdrawing("""
select entity_type, entity_id, subscriber_hash, changed_at
from unnest(%(keys)s::text[], %(entity_types)s::text[], %(entity_ids)s::text[], %(changed)s::timestamptz[])
    as theirs (subscriber_hash, entity_type, entity_id, changed_at)
""")

_ATTRIBUTE = f"""
update audience_members as known set entity_type = theirs.entity_type, entity_id = theirs.entity_id
from (
    select distinct on (subscriber_hash) * from {_THEIRS} as theirs (subscriber_hash, entity_type, entity_id)
    order by subscriber_hash, entity_type, entity_id
) as theirs
where known.organisation_id = %(organisation_id)s and known.subscriber_hash = theirs.subscriber_hash
    and known.status = 'unsubscribed' and known.entity_id is null
"""  # noqa: S608 - put together of constants

_CLAIM = f"""
update audience_members as known set entity_type = theirs.entity_type, entity_id = theirs.entity_id,
    replaced_hash = null
from {_THEIRS} as theirs (subscriber_hash, entity_type, entity_id)
where known.organisation_id = %(organisation_id)s and known.subscriber_hash = theirs.subscriber_hash
    and (known.entity_type, known.entity_id) is distinct from (theirs.entity_type, theirs.entity_id)
    and known.status in ('subscribed', 'pending')
"""  # noqa: S608 - put together of constants


def link_words(session: OrganisationSession, contacts: pd.DataFrame, *, at: datetime) -> None:
    """Let what was said at an address be the word of who has it by now.

    `contacts`, of the organisation, have entity_type, entity_id and subscriber_hash.
    """
    _add_addresses(session, contacts)
    _take_over_unsubscribed(session, contacts, at)
    _claim_members(session, contacts)


def _add_addresses(session: OrganisationSession, contacts: pd.DataFrame) -> None:
    """Add the present address where one was not known when the contact spoke."""
    theirs = _with_addresses(session, contacts, PreferenceRow.subscriber_hash.is_(None))
    theirs = theirs.drop_duplicates(["entity_type", "entity_id"])
    if not theirs.empty:
        driver_connection(session).execute(_ADD_ADDRESSES, {**_ours(session), **contact_arrays(theirs)})


def _take_over_unsubscribed(session: OrganisationSession, contacts: pd.DataFrame, at: datetime) -> None:
    """Take unsubscriptions at addresses that were nobody's for the word of the contacts who have them by now.

    An opt-in that is later than the unsubscription stays.
    """
    connection = driver_connection(session)
    unsubscribed = {str(key): changed_at for key, changed_at in connection.execute(_OF_NOBODY, _ours(session))}
    theirs = contacts[contacts["subscriber_hash"].isin(list(unsubscribed))]
    if theirs.empty:
        return
    said = {**_ours(session), **contact_arrays(theirs), "at": at}
    connection.execute(_WITHDRAW, {**said, "changed": [unsubscribed[key] for key in theirs["subscriber_hash"]]})
    connection.execute(_ATTRIBUTE, said)


def _claim_members(session: OrganisationSession, contacts: pd.DataFrame) -> None:
    """Note that members with the present address of somebody who opted out are theirs, however they came there."""
    theirs = _with_addresses(session, contacts, PreferenceRow.opted_in.is_(False))
    if not theirs.empty:
        driver_connection(session).execute(_CLAIM, {**_ours(session), **contact_arrays(theirs)})


def _with_addresses(session: OrganisationSession, contacts: pd.DataFrame, whose: ColumnElement[bool]) -> pd.DataFrame:
    """Return those of the contacts who have an address and said something of this kind."""
    query = select(PreferenceRow.entity_type, PreferenceRow.entity_id).where(
        PreferenceRow.organisation_id == session.organisation_id, whose
    )
    speakers = pd.DataFrame(session.execute(query).all(), columns=["entity_type", "entity_id"], dtype=ARROW_STRING)
    few = contacts[contacts["entity_id"].isin(speakers["entity_id"]) & contacts["subscriber_hash"].notna()]
    return few.merge(speakers)


def _ours(session: OrganisationSession) -> dict[str, object]:
    return {"organisation_id": session.organisation_id}
