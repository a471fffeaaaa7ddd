"""Parse a webhook's call, and check its signature.

Pure: the time is a parameter.
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
"""The path of webhooks in the API. The webhook's token follows."""

TOLERANCE: Final = timedelta(seconds=300)
"""The maximum age of a signature, also in the future, because clocks differ. It limits replays of a call."""

_MAX_FIELDS: Final = 2000
_FIRED_AT: Final = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}", re.ASCII)
_ACTIONS: Final = frozenset({"unsub", "archive", "delete"})
"""How a member left, in a call of the kind `unsubscribe`."""
_UNIX: Final = re.compile(r"\d{1,11}", re.ASCII)
_LIST_ID: Final = re.compile(r"[0-9A-Za-z]{1,64}")


class MalformedCall(PermanentError):
    """The call does not have Mailchimp's format. The error names the invalid field, but not its value."""


class SignatureRefused(PermanentError):
    """The call's signature is missing, wrong or too old."""


class EventKind(StrEnum):
    """The kind of a call, Mailchimp's `type`."""

    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    CLEANED = "cleaned"
    UPEMAIL = "upemail"
    PROFILE = "profile"
    CAMPAIGN = "campaign"


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """A call of a webhook. `members` are the subscriber hashes in it, which the receiver reads from Mailchimp.

    `members` is empty for a sent campaign and a changed profile. `withdrawn_by` is how consent was withdrawn, if it
    was.
    """

    list_id: str
    kind: EventKind
    fired_at: datetime
    members: tuple[str, ...] = ()
    withdrawn_by: Channel | None = None


def read_call(body: bytes, now: datetime) -> WebhookCall:
    """Return the call in a form-encoded body. Raises `MalformedCall`."""
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
    """Raise `SignatureRefused` unless `header` is a signature of the raw body at about this time.

    The header's format is `t=<unix>,v1=<hex>`.
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
    """Return the times and the digests in the header."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    return [value for name, _, value in pairs if name == "t"], [value for name, _, value in pairs if name == "v1"]


def _fields(body: bytes) -> Mapping[str, str]:
    try:
        text = body.decode()
        return dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise MalformedCall("The call is no form in UTF-8. Send what Mailchimp sends.") from None


def _members(kind: EventKind, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the subscriber hashes in the call."""
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
    """Return an address after a loose check, because Mailchimp has members that the pipeline would not send."""
    address = fields.get(f"data[{name}]", "").strip()
    looks_right = "@" in address[1:-1] and len(address) <= LONGEST
    if not (looks_right and address.isprintable() and " " not in address):
        raise _malformed(f"data[{name}]")
    return address


def _fired_at(fields: Mapping[str, str], now: datetime) -> datetime:
    """Return the time of the call in whole seconds, at most the present: nothing could be later than a future time."""
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
