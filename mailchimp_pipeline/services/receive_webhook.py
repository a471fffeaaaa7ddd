"""Process webhook calls from Mailchimp. A call names the members that changed; the API then returns their state."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from mailchimp_pipeline.clock import Clock
from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.database.audience_members import members_known
from mailchimp_pipeline.database.encryption import Keyring
from mailchimp_pipeline.database.ledger import DatabaseLedger
from mailchimp_pipeline.database.session import Database
from mailchimp_pipeline.mailchimp.webhook_events import WebhookCall
from mailchimp_pipeline.sync import Audiences, MemberRef, MemberStatus, Withdrawal, pull_member


def receive_webhook(  # noqa: PLR0913 - each is one thing that a call needs
    organisation_id: str,
    call: WebhookCall,
    open_mailchimp: Callable[[], AbstractContextManager[Audiences]],
    *,
    database: Database,
    keyring: Keyring,
    clock: Clock,
) -> None:
    """Read the members that a webhook call names from Mailchimp, and record them. A late or repeated call does no harm.

    If the call reports a withdrawal of consent, it is recorded even when the member's status does not show it: after a
    spam complaint, or if the member was archived or deleted meanwhile. Raises the errors of the calls to Mailchimp.
    """
    if not call.members:
        return
    ledger = DatabaseLedger(database, keyring, organisation_id, call.list_id, clock)
    with database.organisation(organisation_id) as session:
        known = members_known(session, call.list_id, call.members)
    with open_mailchimp() as mailchimp:
        for key in call.members:
            _, ref = known.get(key) or (None, MemberRef(key))
            pull_member(call.list_id, ref, audiences=mailchimp, ledger=ledger)
    if call.withdrawn_by is None:
        return
    with database.organisation(organisation_id) as session:
        now = members_known(session, call.list_id, call.members)
    # The pull recorded the withdrawal of an unsubscribed member. Of an archived or deleted one only the call knows it.
    pulled = {MemberStatus.SUBSCRIBED, MemberStatus.PENDING, MemberStatus.UNSUBSCRIBED}
    others = [key for key in call.members if now.get(key, (None,))[0] not in pulled]
    withdrawn = call.members if call.withdrawn_by is Channel.COMPLAINT else others
    ledger.record_withdrawals([Withdrawal(key, call.fired_at, call.withdrawn_by) for key in withdrawn])
