"""The webhooks of an audience: events, payloads and signatures."""

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
    """A webhook. `secret` is None for unsigned deliveries."""

    id: str
    url: str
    events: frozenset[str]
    sources: frozenset[str]
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event in an audience. `data` contains the `data[...]` pairs of its delivery."""

    kind: str
    by: Actor
    at: datetime
    data: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Delivery:
    """The delivery of one event to one webhook."""

    webhook: Webhook
    event: WebhookEvent

    def body(self) -> bytes:
        """Return the form body, which is the same for every retry."""
        fired_at = self.event.at.strftime("%Y-%m-%d %H:%M:%S")
        pairs = [("type", self.event.kind), ("fired_at", fired_at)]
        pairs += [(f"data[{key}]" if "[" not in key else f"data{key}", value) for key, value in self.event.data]
        return urlencode(pairs).encode()

    def signature(self, body: bytes, unix: int) -> str | None:
        """Return the value of X-Mailchimp-Signature for a body sent at a time. None for unsigned deliveries."""
        if self.webhook.secret is None:
            return None
        digest = hmac.new(self.webhook.secret.encode(), f"{unix}.".encode() + body, hashlib.sha256)
        return f"t={unix},v1={digest.hexdigest()}"


class Webhooks:
    """All webhooks of one audience."""

    def __init__(self, send: Callable[[Delivery], None]) -> None:
        """Start with no webhooks. `send` takes deliveries and returns at once."""
        self._send = send
        self._by_id: dict[str, Webhook] = {}

    def __len__(self) -> int:
        """Return the number of webhooks."""
        return len(self._by_id)

    def all(self) -> list[Webhook]:
        """Return the webhooks in order of creation."""
        return list(self._by_id.values())

    def add(self, webhook: Webhook) -> None:
        """Add a webhook. Reject a URL that differs from an existing one only in its query."""
        if any(_without_query(other.url) == _without_query(webhook.url) for other in self._by_id.values()):
            raise problems.invalid_schema(FieldError("url", "Sorry, you can't set up multiple WebHooks for one URL"))
        self._by_id[webhook.id] = webhook

    def remove(self, webhook_id: str) -> None:
        """Delete a webhook, or raise `not_found`."""
        if self._by_id.pop(webhook_id, None) is None:
            raise problems.not_found()

    def publish(self, event: WebhookEvent) -> None:
        """Deliver an event to every webhook that is subscribed to its kind and source."""
        for webhook in self._by_id.values():
            if event.kind in webhook.events and event.by in webhook.sources:
                self._send(Delivery(webhook, event))


def chosen(given: Mapping[str, bool] | None, known: Sequence[str]) -> frozenset[str]:
    """Return the names that a request enables."""
    return frozenset(name for name in known if (given or {}).get(name))


def _without_query(url: str) -> str:
    return urlsplit(url)._replace(query="", fragment="").geturl()
