"""Unsubscribe the members of one audience who may not be e-mailed."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from mailchimp_pipeline.errors import PermanentError
from mailchimp_pipeline.sync.audience import MAILED, MemberRef, MemberState, MemberStatus
from mailchimp_pipeline.sync.tasks import in_parallel

if TYPE_CHECKING:
    from mailchimp_pipeline.sync.ports import Audiences, Ledger


class UnsubscribeRefused(PermanentError):
    """Mailchimp refused to unsubscribe members who opted out."""

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
    """Unsubscribe every member of the audience who may not be e-mailed. Return the number of these members.

    `is_pulled` says that the audience's changes were pulled right before. Without that, each member's state is read
    first. A member who has unsubscribed at Mailchimp meanwhile is then recorded as having done so. That is the member's
    own statement, and applies to every contact with the address.

    Raises `UnsubscribeRefused` if Mailchimp refuses to unsubscribe some members, after all others are unsubscribed.
    Raises `Stopped` if `stopping` returns true.
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
    """Unsubscribe the member. Return its new state, None if the audience does not have the member."""
    member = audiences.set_member_status(list_id, ref, MemberStatus.UNSUBSCRIBED)
    if member is None or isinstance(member, MemberState):
        return member
    # Mailchimp refused the change. The member's status decides whether the member still receives e-mail.
    return audiences.member_state(list_id, ref)


def _under_another_address(list_id: str, ref: MemberRef, audiences: "Audiences") -> MemberState | None:
    """Return the member with the same contact id, None if the audience does not have the member.

    The member is looked up because its address may have changed. Raises `PermanentError` if the audience does not
    exist: the account may be another one, and the member may still be subscribed.
    """
    audiences.audience(list_id)
    return audiences.find_contact(list_id, ref.contact_id) if ref.contact_id else None


def _ref(member: MemberState) -> MemberRef:
    return MemberRef(member.subscriber_hash, member.contact_id, member.member_id)
