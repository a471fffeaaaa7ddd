"""The client of Mailchimp's Marketing API, its errors, and Mailchimp's answers as typed values.

What does not belong here: deciding what is sent about which member (`sync`), storage (`database`).
"""

from mailchimp_pipeline.mailchimp.client import MailchimpClient
from mailchimp_pipeline.mailchimp.member_calls import Deletion
from mailchimp_pipeline.mailchimp.transport import ConnectionSlots, KeyWatch, Retries, ThreadSlots, Timeouts
from mailchimp_pipeline.mailchimp.wire_models import AccountEntry, Member, MergeFieldEntry, WebhookEntry

__all__ = [
    "AccountEntry",
    "ConnectionSlots",
    "Deletion",
    "KeyWatch",
    "MailchimpClient",
    "Member",
    "MergeFieldEntry",
    "Retries",
    "ThreadSlots",
    "Timeouts",
    "WebhookEntry",
]
