"""The routes for an audience's webhooks."""

import asyncio
import secrets

import requests
from pydantic import BaseModel, ConfigDict

from sandbox.direct import direct_session
from sandbox.model import problems
from sandbox.model.problems import FieldError
from sandbox.model.webhooks import EVENTS, SOURCES, Webhook, chosen
from sandbox.web.endpoints import NO_CONTENT, Answer, Call, Endpoint
from sandbox.web.list_shapes import webhook_shape

_WEBHOOKS = "/lists/{list_id}/webhooks"
_WEBHOOK = "/lists/{list_id}/webhooks/{webhook_id}"
_PAGES = frozenset({"count", "offset"})


class WebhookBody(BaseModel):
    """The body that creates a webhook."""

    model_config = ConfigDict(strict=True, hide_input_in_errors=True)

    url: str | None = None
    events: dict[str, bool] | None = None
    sources: dict[str, bool] | None = None


async def check_url(call: Call) -> None:
    """Reject a URL that does not answer GET with success."""
    url = call.parse(WebhookBody).url
    if url is None:
        return
    if not url.startswith(("http://", "https://")):
        raise problems.invalid_schema(FieldError("url", "This value is not a valid URL."))
    status = await asyncio.to_thread(_probe, url, call.state.behaviours.webhook_timeout_seconds)
    if status != requests.codes.ok:
        message = f"We couldn't verify the URL is working. Please double check and try again. HTTP Code: {status}"
        raise problems.invalid_schema(FieldError("url", message))


def list_webhooks(call: Call) -> Answer:
    """GET webhooks."""
    found, listed = call.audience.webhooks.all(), call.state.behaviours.webhooks_listed
    if listed != "in_pages":
        call.query.check(())
    shown = found if listed == "all" else call.query.page(found)
    shapes = [webhook_shape(call.audience, webhook) for webhook in shown]
    return Answer({"webhooks": shapes, "list_id": call.audience.id, "total_items": len(found), "_links": []})


def add_webhook(call: Call) -> Answer:
    """POST webhooks. Only this answer contains the signing secret."""
    requested = call.parse(WebhookBody)
    if requested.url is None:
        raise problems.invalid_schema(FieldError("url", "This value should not be blank."))
    secret = secrets.token_hex(32) if call.state.behaviours.sign_webhooks else None
    webhook = Webhook(
        call.state.new_id(),
        requested.url,
        chosen(requested.events, EVENTS),
        chosen(requested.sources, SOURCES),
        secret,
    )
    call.audience.webhooks.add(webhook)
    shape = webhook_shape(call.audience, webhook)
    return Answer(shape if secret is None else {**shape, "signing_secret": secret})


def remove_webhook(call: Call) -> Answer:
    """DELETE a webhook."""
    call.audience.webhooks.remove(call.path_parameters["webhook_id"])
    return NO_CONTENT


def _probe(url: str, timeout: float) -> int:
    """Return the status of a GET, or 0 without an answer."""
    try:
        with direct_session() as session:
            return session.get(url, timeout=timeout).status_code
    except requests.RequestException:
        return 0


ENDPOINTS = (
    Endpoint("GET", _WEBHOOKS, list_webhooks, query=_PAGES),
    Endpoint("POST", _WEBHOOKS, add_webhook, check_url),
    Endpoint("DELETE", _WEBHOOK, remove_webhook),
)
