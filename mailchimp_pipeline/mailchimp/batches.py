"""The result of each contact of a batch. Mailchimp's totals are not used.

What does not belong here: sending the batch (`audiences`), the meaning of a rejection's text (`rejections`).
"""

from collections.abc import Mapping, Sequence

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.mailchimp.models import BatchResult
from mailchimp_pipeline.mailchimp.rejections import EXISTS, Exists, rejection_of_item, rejection_of_status
from mailchimp_pipeline.sync import BatchAnswer, MemberRef, MemberStatus, NewMember, Rejection


def one_each(members: Sequence[NewMember]) -> dict[str, NewMember]:
    """Return the members by subscriber hash, without repeated addresses.

    Mailchimp may refuse a whole batch with a repeated address.
    """
    unique: dict[str, NewMember] = {}
    for member in members:
        unique.setdefault(member.subscriber_hash, member)
    return unique


def batch_answer(sent: Mapping[str, NewMember], result: BatchResult) -> BatchAnswer:
    """Return the result of each contact sent. An item in `errors` takes precedence over a returned member.

    A contact that the result does not mention is rejected as `COMPLIANCE`: Mailchimp is known to leave out only
    contacts in a compliance state.
    """
    found: dict[str, Rejection | Exists | None] = dict.fromkeys(sent, Rejection.COMPLIANCE)
    refs: dict[str, MemberRef] = {}
    for member in (*result.new_members, *result.updated_members):
        # Ids of very old members are hashes of addresses with capital letters.
        key = member.id if member.id in sent else subscriber_hash(member.email_address)
        if key in sent:
            found[key] = _rejection_of(sent[key].status, member.status)
            refs[key] = MemberRef(key, member.contact_id or None, None if member.id in {key, ""} else member.id)
    for item in result.errors:
        key = subscriber_hash(item.email_address)
        if key in found:
            found[key] = rejection_of_item(item)
    return BatchAnswer(
        accepted={key: refs.get(key) or MemberRef(key) for key, meaning in found.items() if meaning is None},
        existing=frozenset(key for key, meaning in found.items() if meaning == EXISTS),
        rejected={key: meaning for key, meaning in found.items() if isinstance(meaning, Rejection)},
        changed_at=result.changed_at,
    )


def _rejection_of(asked: MemberStatus, got: MemberStatus) -> Rejection | None:
    # A contact who should confirm and is already subscribed has confirmed before.
    confirmed = asked is MemberStatus.PENDING and got is MemberStatus.SUBSCRIBED
    return None if got is asked or confirmed else rejection_of_status(got)
