"""Webhooks of an audience: who is told of what, in which form, and how that is signed.

What does not belong here: sending and repeating (`courier`).
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode, urlsplit

from sandbox.model import problems
from sandbox.model.members import Actor
from sandbox.model.problems import FieldError

EVENTS = ("subscribe", "unsubscribe", "profile", "cleaned", "upemail", "campaign")
SOURCES = tuple(actor.value for actor in Actor)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One address that is told of events. `secret` is None where deliveries are not signed."""

    id: str
    url: str
    events: frozenset[str]
    sources: frozenset[str]
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened in an audience; `data` are the pairs below `data[...]` of a delivery."""

    kind: str
    by: Actor
    at: datetime
    data: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One happening on its way to one webhook."""

    webhook: Webhook
    happening: Happening

    def body(self) -> bytes:
        """Return the form that is sent, the same in every repetition."""
        fired_at = self.happening.at.strftime("%Y-%m-%d %H:%M:%S")
        pairs = [("type", self.happening.kind), ("fired_at", fired_at)]
        pairs += [(f"data[{key}]" if "[" not in key else f"data{key}", value) for key, value in self.happening.data]
        return urlencode(pairs).encode()

    def signature(self, body: bytes, unix: int) -> str | None:
        """Return the value of X-Mailchimp-Signature for a body sent at a time, None where it is not signed."""
        if self.webhook.secret is None:
            return None
        digest = hmac.new(self.webhook.secret.encode(), f"{unix}.".encode() + body, hashlib.sha256)
        return f"t={unix},v1={digest.hexdigest()}"


class Webhooks:
    """All webhooks of one audience."""

    def __init__(self, send: Callable[[Delivery], None]) -> None:
        """Start without any; `send` takes what is to be delivered and returns at once."""
        self._send = send
        self._by_id: dict[str, Webhook] = {}

    def __len__(self) -> int:
        """Count the webhooks."""
        return len(self._by_id)

    def all(self) -> list[Webhook]:
        """Return the webhooks in the order they were made."""
        return list(self._by_id.values())

    def add(self, webhook: Webhook) -> None:
        """Add a webhook; refuses a URL that differs from another in its query alone."""
        if any(_without_query(other.url) == _without_query(webhook.url) for other in self._by_id.values()):
            raise problems.invalid_schema(FieldError("url", "Sorry, you can't set up multiple WebHooks for one URL"))
        self._by_id[webhook.id] = webhook

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook; a problem where there is none."""
        if self._by_id.pop(webhook_id, None) is None:
            raise problems.not_found()

    def tell(self, happening: Happening) -> None:
        """Send a happening to every webhook that asked for its kind from its source."""
        for webhook in self._by_id.values():
            if happening.kind in webhook.events and happening.by in webhook.sources:
                self._send(Delivery(webhook, happening))


def chosen(given: Mapping[str, bool] | None, known: Sequence[str]) -> frozenset[str]:
    """Return which of the known names a request turns on."""
    return frozenset(name for name in known if (given or {}).get(name))


def _without_query(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()
