"""Webhooks: where Mailchimp tells of changes as they happen.

What does not belong here: what a call says (`mailchimp.webhook_events`), what follows from it (`services`).
"""

from api.webhooks.receiver import MAX_BODY_BYTES, webhook_route
from mailchimp_pipeline.mailchimp.webhook_events import PATH

__all__ = ["MAX_BODY_BYTES", "PATH", "webhook_route"]
