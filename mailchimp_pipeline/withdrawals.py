"""Withdrawals of consent, carried to every audience of an organisation: at once for the API, else by a run.

What does not belong here: one audience's part (`sync.withdraw`), which of them are outstanding (`database`).
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.database.withdrawals import audiences_to_tell
from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.sync import Audiences, withdraw


def carry_withdrawals(
    organisation_id: str,
    open_mailchimp: Callable[[], AbstractContextManager[Audiences]],
    *,
    database: Database,
    keyring: Keyring,
    clock: Clock,
) -> int:
    """Unsubscribe at Mailchimp whoever of the organisation opted out; return how many members that were.

    Mailchimp is opened only where there is something to tell it. Raises its errors, and those of opening it; what
    was not carried then is outstanding still. An audience that cannot be told does not keep others from it.
    """
    with database.organisation(organisation_id) as session:
        list_ids = audiences_to_tell(session)
    if not list_ids:
        return 0
    ledgers = [DatabaseLedger(database, organisation_id, list_id, clock, keyring=keyring) for list_id in list_ids]
    told, problems = 0, list[LastingError]()
    with open_mailchimp() as mailchimp:
        for ledger in ledgers:
            try:
                told += withdraw(ledger.list_id, audiences=mailchimp, ledger=ledger)
            except LastingError as error:
                problems.append(error)
    if problems:
        raise problems[0]
    return told
