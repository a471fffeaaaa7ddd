"""Opt-outs, pushed to one audience: a member who may not be e-mailed is unsubscribed.

What does not belong here: which members these are (the ledger), all audiences of an organisation (`services`).
"""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.sync.model import MAILED, MemberRef, MemberState, MemberStatus
from mailchimp_pipeline.sync.parallel import in_parallel

if TYPE_CHECKING:
    from mailchimp_pipeline.sync.ports import Audiences, Ledger


class UnsubscribeRefused(PermanentError):
    """Mailchimp does not unsubscribe members who opted out."""

    def __init__(self, list_id: str, count: int) -> None:
        super().__init__(
            f"Mailchimp refused to unsubscribe {count} members of the audience {list_id} who opted out; all others are "
            "unsubscribed. Find them in the audience by the contacts who opted out here, and unsubscribe them by hand."
        )


def push_opt_outs(
    list_id: str,
    *,
    audiences: "Audiences",
    ledger: "Ledger",
    stopping: Callable[[], bool] = lambda: False,
    is_pulled: bool = True,
) -> int:
    """Unsubscribe at Mailchimp every member of the audience who may not be e-mailed. Return how many there were.

    Where the audience was not pulled right before, each member is read first: one who left by themselves said so for
    everybody with the address, and would look unsubscribed by us.

    Raises `UnsubscribeRefused` for those that Mailchimp refuses to change, after all others.
    """

    def unsubscribe(ref: MemberRef) -> bool:
        if not is_pulled and (now := audiences.member_state(list_id, ref)) and now.status not in MAILED:
            ledger.record_member_states([now])
            return True
        key, member = ref.subscriber_hash, _unsubscribed(list_id, ref, audiences)
        if member is None and (moved := _under_another_address(list_id, ref, audiences)):
            ledger.record_member_states([moved])
            key, member = moved.subscriber_hash, _unsubscribed(list_id, _ref(moved), audiences)
        ledger.record_result(key, member)
        return member is None or member.status not in MAILED

    tasks = (partial(unsubscribe, member) for member in ledger.members_to_unsubscribe())
    done = Counter(in_parallel(tasks, stopping))
    if done[False]:
        raise UnsubscribeRefused(list_id, done[False])
    return done[True]


def _unsubscribed(list_id: str, ref: MemberRef, audiences: "Audiences") -> MemberState | None:
    """Unsubscribe a member; return it then, None where the audience does not have it."""
    member = audiences.set_member_status(list_id, ref, MemberStatus.UNSUBSCRIBED)
    if member is None or isinstance(member, MemberState):
        return member
    # Mailchimp refused to change the member as it is; its status decides whether it can be e-mailed.
    return audiences.member_state(list_id, ref)


def _under_another_address(list_id: str, ref: MemberRef, audiences: "Audiences") -> MemberState | None:
    """Return the member where it has another address by now; None where it is gone.

    Raises where the audience is not there: in another account the member is e-mailed as before.
    """
    audiences.audience(list_id)
    return audiences.find_contact(list_id, ref.contact_id) if ref.contact_id else None


def _ref(member: MemberState) -> MemberRef:
    return MemberRef(member.subscriber_hash, member.contact_id, member.member_id)
