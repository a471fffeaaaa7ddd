"""Withdrawals of consent, carried to every audience of an organisation: at once for the API, else by a run.

What does not belong here: one audience's part (`sync.withdraw`), which of them are outstanding (`database`).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from mailchimp_pipeline.assembly import Parts, utc_now
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.withdrawals import audiences_to_tell
from mailchimp_pipeline.sync import Audiences, withdraw


def carry_withdrawals(
    parts: Parts, organisation_id: str, open_mailchimp: Callable[[], AbstractContextManager[Audiences]]
) -> int:
    """Unsubscribe at Mailchimp whoever of the organisation opted out; return how many members that were.

    Mailchimp is opened only where there is something to tell it. Raises its errors, and those of opening it;
    what was not carried then is outstanding still.
    """
    with parts.database.organisation(organisation_id) as session:
        list_ids = audiences_to_tell(session)
    if not list_ids:
        return 0
    with open_mailchimp() as mailchimp:
        return sum(
            withdraw(list_id, audiences=mailchimp, ledger=_ledger(parts, organisation_id, list_id))
            for list_id in list_ids
        )


def _ledger(parts: Parts, organisation_id: str, list_id: str) -> DatabaseLedger:
    return DatabaseLedger(parts.database, organisation_id, list_id, utc_now, keyring=parts.keyring)
