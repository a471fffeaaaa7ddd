"""Erasures that were asked for, as they are kept, and the database as carrying them out needs it.

What does not belong here: asking Mailchimp (`mailchimp_pipeline.erasure`), who is erased (`erased`).
"""

from mailchimp_pipeline.database.erasures.records import DatabaseErasures, NoSuchErasure, pending_erasures
from mailchimp_pipeline.database.erasures.store import ErasureStore

__all__ = ["DatabaseErasures", "ErasureStore", "NoSuchErasure", "pending_erasures"]
