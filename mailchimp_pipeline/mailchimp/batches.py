"""The result of each contact of a batch, from Mailchimp's entries for each. Its totals are not used.

What does not belong here: sending the batch (`audiences`), the meaning of a rejection's text (`rejections`).
"""

from collections.abc import Mapping, Sequence

from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.mailchimp.models import BatchResult
from mailchimp_pipeline.mailchimp.rejections import EXISTS, Exists, rejection_of_item, rejection_of_status
from mailchimp_pipeline.sync import BatchAnswer, MemberRef, MemberStatus, NewMember, Rejection


def one_each(members: Sequence[NewMember]) -> dict[str, NewMember]:
    """Return the members by the hash of their address, of several with one address the first.

    Mailchimp may refuse a whole batch in which an address stands twice.
    """
    unique: dict[str, NewMember] = {}
    for member in members:
        unique.setdefault(member.subscriber_hash, member)
    return unique


def batch_answer(sent: Mapping[str, NewMember], result: BatchResult) -> BatchAnswer:
    """Return where each contact sent stands. An item of `errors` outweighs a member that came back.

    A contact that is in no list was left out in silence, which Mailchimp is only known to do
    to those in a compliance state: it is rejected as such.
    """
    found: dict[str, Rejection | Exists | None] = dict.fromkeys(sent, Rejection.COMPLIANCE)
    refs: dict[str, MemberRef] = {}
    for member in (*result.new_members, *result.updated_members):
        # The ids of very old members were made before addresses were lower-cased.
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
    # Asked to confirm, but subscribed already: they confirmed before, which is more than was asked.
    confirmed = asked is MemberStatus.PENDING and got is MemberStatus.SUBSCRIBED
    return None if got is asked or confirmed else rejection_of_status(got)
