"""Calls about webhooks, through which Mailchimp reports changes of an audience's members.

What does not belong here: parsing a webhook's calls (`webhook_events`).
"""

from typing import Final

from mailchimp_pipeline.mailchimp.calls import Call, audience_path, webhook_path
from mailchimp_pipeline.mailchimp.error_classification import incomplete
from mailchimp_pipeline.mailchimp.errors import AudienceGone, NotFound, Rejected
from mailchimp_pipeline.mailchimp.models import WebhookEntry, Webhooks
from mailchimp_pipeline.mailchimp.pages import PAGE_SIZES
from mailchimp_pipeline.mailchimp.transport import Transport

EVENTS: Final = {
    "subscribe": True,
    "unsubscribe": True,
    "profile": True,
    "cleaned": True,
    "upemail": True,
    "campaign": False,
}
SOURCES: Final = {"user": True, "admin": True, "api": False}
"""The origins of reported changes. Mailchimp would also report this pipeline's own changes if `api` were left out."""


class WebhookCalls:
    """Calls about webhooks of the account's audiences."""

    _transport: Transport

    def webhooks(self, list_id: str) -> tuple[WebhookEntry, ...]:
        """Return all webhooks of the audience. Raises `Incomplete` if Mailchimp returns only a part.

        Mailchimp does not document pages for webhooks. Further pages are read only if the first has fewer webhooks than
        announced.
        """
        task = f"listing the webhooks of the audience {list_id}"
        call = Call("GET", f"{audience_path(list_id)}/webhooks", task, gone=AudienceGone)
        page = self._transport.fetch(call, Webhooks)
        found = {webhook.id: webhook for webhook in page.webhooks}
        while len(found) < page.total_items:
            announced, read = page.total_items, len(found)
            try:
                page = self._transport.fetch(call.page(PAGE_SIZES[0], read), Webhooks)
            except Rejected:
                raise incomplete(call, announced=announced, read=read) from None
            found |= {webhook.id: webhook for webhook in page.webhooks}
            if len(found) == read < page.total_items:
                raise incomplete(call, announced=announced, read=read)
        return tuple(found.values())

    def add_webhook(self, list_id: str, url: str) -> WebhookEntry:
        """Create a webhook. Return it with its signing secret, which Mailchimp does not return again.

        The call is not repeated after a lost answer, because the secret is lost too: remove the webhook with this URL,
        and create another.
        """
        call = Call(
            "POST",
            f"{audience_path(list_id)}/webhooks",
            f"making a webhook of the audience {list_id}",
            body={"url": url, "events": EVENTS, "sources": SOURCES},
            gone=AudienceGone,
            advice="Mailchimp must get HTTP 200 from the webhook's URL over the internet, "
            "and the audience must not have a webhook with that URL yet",
            repeat_when_lost=False,
        )
        return self._transport.fetch(call, WebhookEntry)

    def remove_webhook(self, list_id: str, webhook_id: str) -> bool:
        """Remove the webhook. Return False if it did not exist."""
        task = f"removing a webhook of the audience {list_id}"
        try:
            self._transport.send(Call("DELETE", webhook_path(list_id, webhook_id), task))
        except NotFound:
            return False
        return True
