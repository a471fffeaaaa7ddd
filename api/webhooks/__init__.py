"""The webhooks that Mailchimp calls when a member changes.

What does not belong here: the format of a call (`mailchimp.webhook_events`), its effect (`services`).
"""

from api.webhooks.receiver import MAX_BODY_BYTES, webhook_route
from mailchimp_pipeline.mailchimp.webhook_events import PATH

__all__ = ["MAX_BODY_BYTES", "PATH", "webhook_route"]
