"""The `data[...]` pairs of webhook events about members."""

from collections.abc import Mapping

from sandbox.model.members import ChangeOrigin, Member
from sandbox.model.merge_fields import MergeValue
from sandbox.model.webhooks import WebhookEvent


def unique_email_id(member: Member) -> str:
    """Return Mailchimp's `unique_email_id`, which is the same in all audiences."""
    return member.id[-10:]


def member_event(
    kind: str, list_id: str, member: Member, merges: Mapping[str, MergeValue], origin: ChangeOrigin, **more: str
) -> WebhookEvent:
    """Return a subscribe, unsubscribe, profile or cleaned event. `more` has its action and reason."""
    data = [*more.items(), ("id", unique_email_id(member)), ("list_id", list_id), ("email", member.address)]
    if kind != "cleaned":
        data += [
            ("email_type", member.attributes.email_type),
            ("ip_opt", member.attributes.ip_opt),
            ("web_id", str(member.number)),
        ]
        data += [("[merges][EMAIL]", member.address)]
        data += [pair for tag, value in merges.items() for pair in _merge_pairs(tag, value)]
    if kind == "subscribe":
        data.append(("ip_signup", member.attributes.ip_signup))
    return WebhookEvent(kind, origin.by, origin.at, data)


def address_changed(list_id: str, before: Member, member: Member, origin: ChangeOrigin) -> WebhookEvent:
    """Return an upemail event. It has both addresses and no `email`."""
    data = [
        ("list_id", list_id),
        ("new_id", unique_email_id(member)),
        ("new_email", member.address),
        ("old_email", before.address),
    ]
    return WebhookEvent("upemail", origin.by, origin.at, data)


def _merge_pairs(tag: str, value: MergeValue) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [(f"[merges][{tag}][{part}]", str(text)) for part, text in value.items()]
    return [(f"[merges][{tag}]", str(value))]
