"""Webhook calls from Mailchimp: parse the body of a call, and check its signature.

Nothing here reads the clock or does I/O; the present time is the parameter `now`.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl

from mailchimp_pipeline.consent import Channel
from mailchimp_pipeline.contacts import subscriber_hash
from mailchimp_pipeline.contacts.addresses import LONGEST
from mailchimp_pipeline.errors import PermanentError

PATH: Final = "/webhooks/mailchimp"
"""The path at which the API receives webhook calls. In the URL of a webhook, its token follows."""

TOLERANCE: Final = timedelta(seconds=300)
"""How far the time of a signature may be from the present: in the past, or in the future because clocks differ. It
limits how long somebody can replay a recorded call."""

_MAX_FIELDS: Final = 2000
_FIRED_AT: Final = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_ACTIONS: Final = frozenset({"unsub", "archive", "delete"})
"""The values of `data[action]` in a call of the kind `unsubscribe`: how the member left."""
_UNIX: Final = re.compile(r"\d{1,11}", re.ASCII)
_LIST_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}")


class MalformedCall(PermanentError):
    """The webhook call does not have Mailchimp's format. The error names the invalid field, but not its value."""


class SignatureRefused(PermanentError):
    """The signature of the webhook call is missing, wrong, or too far from the present."""


class EventKind(StrEnum):
    """The event that a webhook call reports: the field `type` of the call."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    CLEANED = "cleaned"
    UPEMAIL = "upemail"
    PROFILE = "profile"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """A webhook call from Mailchimp. It only names the members that changed; their state is then read from the API.

    `members` are their subscriber hashes. There are none for a sent campaign and for a changed profile. `withdrawn_by`
    is how a member withdrew consent, None if the call reports no withdrawal.
    """

    list_id: str
    kind: EventKind
    fired_at: datetime
    members: tuple[str, ...] = ()
    withdrawn_by: Channel | None = None


def read_call(body: bytes, now: datetime) -> WebhookCall:
    """Parse the form-encoded body of a webhook call.

    Raises `MalformedCall` if the body is not a form, or if a field is missing or does not have Mailchimp's format.
    """
    fields = _fields(body)
    try:
        kind = EventKind(fields.get("type", ""))
    except ValueError:
        raise _malformed("type") from None
    list_id = fields.get("data[list_id]", "")
    if not _LIST_ID.fullmatch(list_id):
        raise _malformed("data[list_id]")
    fired_at = _fired_at(fields, now)
    return WebhookCall(list_id, kind, fired_at, _members(kind, fields), _withdrawn_by(kind, fields))


def _withdrawn_by(kind: EventKind, fields: Mapping[str, str]) -> Channel | None:
    if kind in {EventKind.CLEANED, EventKind.UNSUBSCRIBE} and fields.get("data[reason]") == "abuse":
        return Channel.COMPLAINT
    is_unsubscribe = kind is EventKind.UNSUBSCRIBE and fields.get("data[action]") == "unsub"
    return Channel.LINK if is_unsubscribe else None


def check_signature(header: str | None, body: bytes, secret: str, now: datetime) -> None:
    """Raise `SignatureRefused` unless `header` has a signature of the raw body, made with `secret` at about `now`.

    The header's format is `t=<unix>,v1=<hex>`. `TOLERANCE` says how far `t` may be from `now`.
    """
    times, digests = _signature(header or "")
    if len(times) != 1 or not _UNIX.fullmatch(times[0]):
        raise SignatureRefused("The call carries no signature. Mailchimp signs what this webhook sends.")
    expected = hmac.new(secret.encode(), f"{times[0]}.".encode() + body, hashlib.sha256).hexdigest()
    # All are compared, so that the duration reveals nothing.
    fits = [hmac.compare_digest(expected.encode(), digest.encode()) for digest in digests]
    if not any(fits):
        raise SignatureRefused("The call's signature does not fit it. Its sender does not know the secret.")
    if abs(now.timestamp() - int(times[0])) > TOLERANCE.total_seconds():
        raise SignatureRefused(
            "The call was signed too long ago, or in the future. If this happens to Mailchimp's calls, set the clock."
        )


def _signature(header: str) -> tuple[list[str], list[str]]:
    """Return the values of `t` (times) and of `v1` (signatures) in the header."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    return [value for name, _, value in pairs if name == "t"], [value for name, _, value in pairs if name == "v1"]


def _fields(body: bytes) -> Mapping[str, str]:
    try:
        text = body.decode()
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise MalformedCall("The call is no form in UTF-8. Send what Mailchimp sends.") from None


def _members(kind: EventKind, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the subscriber hashes of the members that the call reports as changed."""
    if kind is EventKind.CAMPAIGN:
        return ()
    if kind is EventKind.UPEMAIL:
        # The new address first: its state has the contact id, by which the old address is found.
        both = (_address(fields, "new_email"), _address(fields, "old_email"))
        return tuple(dict.fromkeys(map(subscriber_hash, both)))
    address = _address(fields, "email")
    if kind is EventKind.UNSUBSCRIBE and fields.get("data[action]", "") not in _ACTIONS:
        raise _malformed("data[action]")
    return () if kind is EventKind.PROFILE else (subscriber_hash(address),)


def _address(fields: Mapping[str, str], name: str) -> str:
    """Return the address in a field. Raises `MalformedCall` if the text cannot be an address.

    The check is loose, because Mailchimp has members with addresses that the pipeline would not send.
    """
    address = fields.get(f"data[{name}]", "").strip()
    looks_right = "@" in address[1:-1] and len(address) <= LONGEST
    if not (looks_right and address.isprintable() and " " not in address):
        raise _malformed(f"data[{name}]")
    return address


def _fired_at(fields: Mapping[str, str], now: datetime) -> datetime:
    """Return the time of the call in whole seconds, or `now` if the call is from the future.

    With a time in the future, the call would count as later than everything that happens until then.
    """
    text = fields.get("fired_at", "")
    try:
        fired_at = datetime.fromisoformat(text).replace(tzinfo=UTC) if _FIRED_AT.fullmatch(text) else None
    except ValueError:
        fired_at = None
    if fired_at is None:
        raise _malformed("fired_at")
    return min(fired_at, now.astimezone(UTC).replace(microsecond=0))


def _malformed(name: str) -> MalformedCall:
    return MalformedCall(f"The call's field {name} is missing, or not as Mailchimp sends it. Nothing was done.")
