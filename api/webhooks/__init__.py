"""The webhooks that Mailchimp calls when a member changes.

What does not belong here: the format of a call (`mailchimp_pipeline.webhooks`), its effect (`services`).
"""

from api.webhooks.receiver import MAX_BODY_BYTES, webhook_route
from mailchimp_pipeline.webhooks import PATH

__all__ = ["MAX_BODY_BYTES", "PATH", "webhook_route"]
