"""Erasures: delete a contact from the database at once, and from Mailchimp audience by audience.

If an attempt to delete the contact at Mailchimp fails, the erasure stays pending with the error, and the next attempt
continues. What does not belong here: HTTP (`mailchimp`), SQL (`database`), Dagster (`defs`).
"""

from mailchimp_pipeline.erasure.erasure_request import (
    AccountHistory,
    Deletion,
    Demand,
    ErasureAudiences,
    ErasureRecords,
    ErasureRequest,
    ErasureStatus,
    OpenDeletion,
    Targets,
    Trace,
    pause_after,
)
from mailchimp_pipeline.erasure.erasures import (
    Attempt,
    AudienceElsewhere,
    Erasures,
    MovedAtMailchimp,
    NewTraces,
    NobodyToAsk,
    NotAllAsked,
    UnknownContact,
)

__all__ = [
    "AccountHistory",
    "Attempt",
    "AudienceElsewhere",
    "Deletion",
    "Demand",
    "ErasureAudiences",
    "ErasureRecords",
    "ErasureRequest",
    "ErasureStatus",
    "Erasures",
    "MovedAtMailchimp",
    "NewTraces",
    "NobodyToAsk",
    "NotAllAsked",
    "OpenDeletion",
    "Targets",
    "Trace",
    "UnknownContact",
    "pause_after",
]
