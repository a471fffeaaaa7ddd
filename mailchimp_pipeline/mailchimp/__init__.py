"""The client of Mailchimp's Marketing API, its errors, and Mailchimp's answers as typed values.

What does not belong here: what is sent to which member (`sync`), storage (`database`).
"""

from mailchimp_pipeline.mailchimp.client import MailchimpClient
from mailchimp_pipeline.mailchimp.members import Deletion
from mailchimp_pipeline.mailchimp.models import AccountEntry, Member, MergeFieldEntry, WebhookEntry
from mailchimp_pipeline.mailchimp.retries import Retries
from mailchimp_pipeline.mailchimp.slots import ConnectionSlots, ThreadSlots
from mailchimp_pipeline.mailchimp.transport import KeyWatch, Timeouts

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
