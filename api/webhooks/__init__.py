"""Webhooks: where Mailchimp tells of changes as they happen, and having it do so.

What does not belong here: what a call says (`mailchimp_pipeline.webhooks`), what follows from it (`database.ledger`).
"""

from api.webhooks.receiver import MAX_BODY_BYTES, webhook_route
from mailchimp_pipeline.webhooks import PATH

__all__ = ["MAX_BODY_BYTES", "PATH", "webhook_route"]
