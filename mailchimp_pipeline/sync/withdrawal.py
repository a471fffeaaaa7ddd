"""Withdrawals of consent, told to one audience: whoever opted out and is mailed there is unsubscribed.

What does not belong here: which members these are (the ledger), all audiences of an organisation (`withdrawals`).
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from mailchimp_pipeline.errors import LastingError
from mailchimp_pipeline.sync.model import MAILED, MemberStatus, Refusal, Standing, Withdrawal
from mailchimp_pipeline.sync.parallel import in_parallel

if TYPE_CHECKING:
    from mailchimp_pipeline.sync.ports import Audiences, Ledger


class StillMailed(LastingError):
    """Mailchimp does not unsubscribe members who opted out."""

    def __init__(self, list_id: str, count: int) -> None:
        super().__init__(
            f"Mailchimp refused to unsubscribe {count} members of the audience {list_id} who opted out; all others are "
            "unsubscribed. Find out there who they are by those who opted out here, and unsubscribe them by hand."
        )


def withdraw(
    list_id: str, *, audiences: "Audiences", ledger: "Ledger", stopping: Callable[[], bool] = lambda: False
) -> int:
    """Unsubscribe at Mailchimp whoever opted out and is subscribed or pending there. Return how many there were.

    Raises `StillMailed` for those that Mailchimp refuses to change, after all others.
    """

    def unsubscribe(member: Withdrawal) -> bool:
        key, status = member.subscriber_hash, _unsubscribed(list_id, member.subscriber_hash, audiences)
        if status is None and (moved := _under_another_address(list_id, member, audiences)):
            ledger.take_over([moved])
            key, status = moved.subscriber_hash, moved.status
        ledger.note_withdrawn(key, status)
        return status not in MAILED

    tasks = (partial(unsubscribe, member) for member in ledger.withdrawn())
    done = Counter(in_parallel(tasks, stopping))
    if done[False]:
        raise StillMailed(list_id, done[False])
    return done[True]


def _unsubscribed(list_id: str, subscriber_hash: str, audiences: "Audiences") -> MemberStatus | None:
    """Unsubscribe a member; return how it stands then, None where the audience does not know it."""
    status = audiences.set_member_status(list_id, subscriber_hash, MemberStatus.UNSUBSCRIBED)
    if isinstance(status, Refusal):
        # It would not be changed in its present form; what it is now decides whether it can be mailed.
        return audiences.member_status(list_id, subscriber_hash)
    return status


def _under_another_address(list_id: str, member: Withdrawal, audiences: "Audiences") -> Standing | None:
    """Unsubscribe a member that has another address there by now; None where it is gone.

    Raises where it is the audience that is not there: in another account the member is mailed as before.
    """
    audiences.audience(list_id)
    found = audiences.find_contact(list_id, member.contact_id) if member.contact_id else None
    status = _unsubscribed(list_id, found.subscriber_hash, audiences) if found else None
    return Standing(found.subscriber_hash, status, contact_id=member.contact_id) if found and status else None
